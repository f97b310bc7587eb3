package main

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// Slab and pictures are read from S3 and lines written to it, whatever signs the pictures' names have.
func TestS3(t *testing.T) {
	slab := slatest.Slab(t, formattest.Tiny(1))
	pictures(t, slab)
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		t.Helper()
		_, err := backend.PutObject("bucket", name, map[string]string{"Last-Modified": "Mon, 02 Nov 2026 15:04:05 GMT"}, strings.NewReader(string(data)), int64(len(data)), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	defer server.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"} {
		t.Setenv(name, value)
	}

	var want []string
	for i, name := range []string{"a.png", "ä b.png", "100%.png", "50%25.png", "c?d#e.png", "deep/f.png"} {
		put("pictures/"+name, picture(t, i))
		if err := os.WriteFile("p.png", picture(t, i), 0o644); err != nil {
			t.Fatal(err)
		}
		line := string(scored(t, slab, []string{"p.png"}, score.Shard{Index: 1, Of: 1}))
		want = append(want, strings.Replace(line, "p.png", "s3://bucket/pictures/"+name, 1))
	}
	put("pictures/notes.txt", []byte("no picture"))
	put("elsewhere/g.png", picture(t, 7))
	put("model.slab", slab)
	slices.Sort(want)
	j := &job{Model: "s3://bucket/model.slab", Mode: "aggregated", Top: 2, Out: "s3://bucket/results/lines", Shards: 1}
	if err := run(t.Context(), j, []string{"s3://bucket/pictures/*", "s3://bucket/pictures/*/*"}); err != nil {
		t.Fatal(err)
	}
	o, err := backend.GetObject("bucket", "results/lines", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Contents.Close()
	got, err := io.ReadAll(o.Contents)
	if err != nil || string(got) != strings.Join(want, "") {
		t.Errorf("%v\n%s\nwant\n%s", err, got, strings.Join(want, ""))
	}

	for path, want := range map[string]string{"s3://bucket/pictures/**": "give a path for each depth", "s3://none/*": "NoSuchBucket", "s3://bucket/none/*": "there are no files"} {
		j.Out = fmt.Sprint("lines of ", len(path))
		if err := run(t.Context(), j, []string{path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
