package score

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// folderStore has the files of a folder; broken says what goes wrong with one of them.
type folderStore struct {
	dir    string
	broken func(address string) (io.ReadCloser, error)
}

func (s folderStore) List(_ context.Context, address string) ([]string, error) {
	if !strings.HasPrefix(address, "fake://") {
		return nil, fmt.Errorf("no address of this store: %w", fs.ErrInvalid)
	}
	if strings.HasPrefix(address, "fake://offline") {
		return nil, errors.New("the network is down")
	}
	var found []string
	root := os.DirFS(s.dir)
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasPrefix("fake://"+name, address) {
			found = append(found, "fake://"+name)
		}
		return err
	})
	return found, err
}

func (s folderStore) Open(_ context.Context, address string) (io.ReadCloser, error) {
	if s.broken != nil {
		if r, err := s.broken(address); r != nil || err != nil {
			return r, err
		}
	}
	return os.Open(filepath.Join(s.dir, strings.TrimPrefix(address, "fake://")))
}

// What a store has gives the lines that the same files give.
func TestStore(t *testing.T) {
	pictures(t)
	if err := errors.Join(os.MkdirAll("tree/@eaDir", 0o755), os.WriteFile("tree/@eaDir/a.png", nil, 0o644), os.Rename("more.tar", "tree/more.TAR.gz")); err != nil {
		t.Fatal(err)
	}
	local := job(t, []string{"tree"}, "local.jsonl")
	want, err := Run(t.Context(), local)
	if err != nil {
		t.Fatal(err)
	}
	remote := job(t, []string{"fake://tree"}, "remote.jsonl")
	remote.Store = folderStore{dir: "."}
	// The network fails in the middle of a picture: the run stops there.
	cut := errors.New("connection reset")
	remote.Store = folderStore{".", func(address string) (io.ReadCloser, error) {
		if strings.Contains(address, "b3.png") {
			return io.NopCloser(io.MultiReader(strings.NewReader("\x89PNG\r\n"), iotest.ErrReader(cut))), nil
		}
		return nil, nil
	}}
	if _, err := Run(t.Context(), remote); !errors.Is(err, cut) {
		t.Fatalf("of a connection that was cut: %v", err)
	}
	// It is there again, and an image is gone: that has a line.
	remote.Store = folderStore{".", func(address string) (io.ReadCloser, error) {
		if strings.HasSuffix(address, "ä10.png") {
			return nil, &fs.PathError{Op: "open", Path: address, Err: fs.ErrNotExist}
		}
		return nil, nil
	}}
	got, err := Run(t.Context(), remote)
	if err != nil || got.Images != want.Images || got.Resumed == 0 || len(got.LeftOut) != 3 || !said(got.LeftOut, "fake://tree/more.TAR.gz", "fetch or unpack it first") {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	lines, differ := strings.ReplaceAll(read(t, "remote.jsonl"), "fake://", ""), 0
	for i, line := range strings.Split(read(t, "local.jsonl"), "\n") {
		if other := strings.Split(lines, "\n")[i]; other != line {
			differ++
			if !strings.Contains(other, "ä10.png") || !strings.Contains(other, "file does not exist") {
				t.Errorf("%s\nwant\n%s", other, line)
			}
		}
	}
	if differ != 1 {
		t.Errorf("%d lines differ, want that of the image that is gone", differ)
	}
}

// An address in a list that is none, or at which there is nothing, has a line that says so, as a missing file
// has; given by itself it is an error, as is in either case a store that cannot be reached.
func TestFieldAddressesInLists(t *testing.T) {
	pictures(t)
	j := job(t, nil, "out.jsonl")
	j.Store = folderStore{dir: "."}
	j.Listed = []string{"http://host/a.png", "fake://nowhere.png", "fake://tree", "missing.png"}
	r, err := Run(t.Context(), j)
	if err != nil || r.Bad < 3 || r.Bad == r.Images {
		t.Fatalf("%+v, %v", r, err)
	}
	lines := read(t, "out.jsonl")
	for _, want := range []string{
		`{"image":"http://host/a.png","error":"http://host/a.png: no address of this store`, `{"image":"fake://nowhere.png","error":"fake://nowhere.png: there are no files"}`,
		`{"image":"missing.png","error":`,
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("there is no line %s in\n%s", want, lines)
		}
	}
	for _, c := range []struct{ given, listed []string }{{given: []string{"http://host/a.png"}}, {given: []string{"fake://nowhere.png"}}, {listed: []string{"fake://offline/a.png"}}} {
		if _, err := List(t.Context(), c.given, c.listed, Shard{1, 1}, j.Store, true); err == nil {
			t.Errorf("%+v is no error", c)
		}
	}
}

func TestStoreErrors(t *testing.T) {
	pictures(t)
	for want, change := range map[string]func(*Job){
		"fake://tree is not a local file":            func(j *Job) { j.Store = nil },
		"fake://more.tar (an archive in a bucket":    func(j *Job) { j.Paths = []string{"fake://more.tar"} },
		"fake://nowhere: there are no files":         func(j *Job) { j.Paths = []string{"fake://nowhere"} },
		"fake://out.jsonl: the file is written here": func(j *Job) { j.Out = "fake://out.jsonl" },
	} {
		j := job(t, []string{"fake://tree"}, "out.jsonl")
		j.Store = folderStore{dir: "."}
		change(j)
		if _, err := Run(t.Context(), j); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
