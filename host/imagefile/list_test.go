package imagefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// tree makes files; a name that ends in / is a folder, "a -> b" a link, "|a" a pipe.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		link, target, linked := strings.Cut(name, " -> ")
		path := filepath.Join(root, strings.TrimPrefix(link, "|"))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case linked:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case name[0] == '|':
			err = syscall.Mkfifo(path, 0o644)
		default:
			err = os.WriteFile(path, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func list(t *testing.T, root string) (files []string, left map[string]string) {
	t.Helper()
	l, err := List(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	left = map[string]string{}
	for _, x := range l.LeftOut {
		left[strings.TrimPrefix(x.Path, root+"/")] = x.Reason
	}
	for _, f := range l.Files {
		files = append(files, strings.TrimPrefix(f, root+"/"))
	}
	return files, left
}

// Images are found by all the names they have, and what is not read is listed.
func TestFieldB12ListsImagesAndWhatItLeavesOut(t *testing.T) {
	images := []string{"a.PNG", "b.jfif", "c.JPEG", "d.jpe", "deep/er/e.webp", "f.Gif", "odd\xff.jpg"}
	others := map[string]string{
		"Thumbs.db": "Windows", "desktop.ini": "Windows", ".DS_Store": "macOS", "deep/._e.webp": "macOS", "__MACOSX": "macOS",
		"@eaDir": "NAS", ".git": "program", ".hidden": "hidden", "x.bmp": "not read", "y.HEIC": "convert", "notes.txt": "not named as an image",
		"pipe.png": "pipe", "gone.png": "link to nothing", "noext": "not named",
	}
	root := tree(t, append(slices.Clone(images), "Thumbs.db", "desktop.ini", ".DS_Store", "deep/._e.webp", "__MACOSX/a.png", "@eaDir/a.png/x.jpg",
		".git/a.png", ".hidden/b.png", "x.bmp", "y.HEIC", "notes.txt", "|pipe.png", "gone.png -> nowhere.png", "noext")...)
	files, left := list(t, root)
	if !slices.Equal(files, images) {
		t.Errorf("found %q, want %q", files, images)
	}
	for path, says := range others {
		if !strings.Contains(left[path], says) {
			t.Errorf("%s: %q, want %q", path, left[path], says)
		}
	}
	if len(left) != len(others) {
		t.Errorf("left out %d, want %d: %v", len(left), len(others), left)
	}
}

// What systems leave behind is no class and no picture; names that look alike are.
func TestFieldJunkOfNASAndAndroid(t *testing.T) {
	junk := map[string]string{
		"@Recently-Snapshot": "NAS", "~snapshot": "NAS", "Network Trash Folder": "macOS", "Temporary Items": "macOS",
		"FOUND.000": "Windows", "found.017": "Windows", "CVS": "program",
		"cat/.trashed-1700000000-IMG_1.jpg": "Android", "cat/.pending-1700000000-IMG_2.jpg": "Android",
	}
	var names []string
	for name := range junk {
		if filepath.Ext(name) != ".jpg" {
			name += "/a.jpg"
		}
		names = append(names, name)
	}
	root := tree(t, append(names, "cat/a.jpg", "found.00/a.jpg", "FOUND.0000/a.jpg", "found.abc/a.jpg", "trashed-1.jpg", "snapshot/a.jpg")...)
	files, left := list(t, root)
	if want := []string{"FOUND.0000/a.jpg", "cat/a.jpg", "found.00/a.jpg", "found.abc/a.jpg", "snapshot/a.jpg", "trashed-1.jpg"}; !slices.Equal(files, want) {
		t.Errorf("found %q, want %q", files, want)
	}
	for path, by := range junk {
		if want := "left behind by "; !strings.HasPrefix(left[path], want) || !strings.HasSuffix(left[path], by) {
			t.Errorf("%s: %q", path, left[path])
		}
	}
	if by := Junk("cvs", true); by != "" {
		t.Errorf("cvs: %q", by)
	}
	classes, _, err := ListFolders(t.Context(), root)
	if want := []string{"FOUND.0000", "cat", "found.00", "found.abc", "snapshot"}; err != nil || !slices.Equal(classes, want) {
		t.Errorf("classes %q, want %q, %v", classes, want, err)
	}
}

// Links are followed, to files and folders, and their loops end.
func TestFieldB20ListsFollowLinks(t *testing.T) {
	store := tree(t, "one.png", "two.png", "in/three.png")
	root := tree(t, "linked -> "+store, "again -> "+store, "file.png -> "+store+"/one.png", "real/a.png", "real/up -> ..", "real/self -> .", "ring -> ring", "me -> .", "up -> ..")
	files, left := list(t, root)
	want := []string{"again/in/three.png", "again/one.png", "again/two.png", "file.png", "linked/in/three.png", "linked/one.png", "linked/two.png", "real/a.png"}
	if !slices.Equal(files, want) {
		t.Errorf("found %q, want %q", files, want)
	}
	if len(left) != 5 || !strings.Contains(left["real/up"], "leads back") || !strings.Contains(left["real/self"], "leads back") || left["ring"] == "" || !strings.Contains(left["me"], "leads back") {
		t.Errorf("left out %v", left)
	}
	// Folders that all link to each other have more paths than anybody can walk.
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}
	var all []string
	for _, from := range names {
		all = append(all, from+"/x.png")
		for _, to := range names {
			all = append(all, from+"/to-"+to+" -> ../"+to)
		}
	}
	files, _ = list(t, tree(t, all...))
	if len(files) < len(names) || len(files) > 5000 {
		t.Errorf("%d files in a web of links", len(files))
	}
	if _, err := List(&countdown{Context: t.Context(), left: 3}, root); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := List(t.Context(), filepath.Join(root, "real/a.png")); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("of a file: %v", err)
	}
	folders, rest, err := ListFolders(t.Context(), root)
	if err != nil || !slices.Equal(folders, []string{"again", "linked", "real"}) || len(rest) != 4 {
		t.Errorf("folders %q, left out %v, %v", folders, rest, err)
	}
}
