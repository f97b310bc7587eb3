package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// The Job of the documentation says nothing that Kubernetes does not know, needs nothing but the
// image of docs/deploy/Dockerfile, and what it runs, once an index, makes the whole.
func TestIndexedJob(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text := contents(t, filepath.Join(root, "docs/score-job.yaml"))
	var j batch.Job
	if err := yaml.UnmarshalStrict(text, &j); err != nil {
		t.Fatal(err)
	}
	spec := j.Spec
	if j.APIVersion != "batch/v1" || j.Kind != "Job" || *spec.CompletionMode != batch.IndexedCompletion || *spec.Completions != *spec.Parallelism {
		t.Errorf("not an Indexed Job of as many pods as parts: %s %s %+v", j.APIVersion, j.Kind, spec)
	}
	pod := spec.Template.Spec
	c := pod.Containers[0]
	for _, m := range c.VolumeMounts {
		found := false
		for _, v := range pod.Volumes {
			found = found || v.Name == m.Name
		}
		if !found {
			t.Errorf("no volume %s", m.Name)
		}
	}

	dockerfile := contents(t, filepath.Join(root, "docs/deploy/Dockerfile"))
	if entry := regexp.MustCompile(`(?m)^ENTRYPOINT \["/quarterturn"\]$`); len(c.Command) > 0 || !entry.Match(dockerfile) {
		t.Errorf("%v is run instead of the image's quarterturn", c.Command)
	}
	if want := fmt.Sprintf("--shard=job/%d", *spec.Completions); !slices.Contains(c.Args, want) {
		t.Errorf("%v, want %s, as there are completions", c.Args, want)
	}

	pictures(t, slatest.Slab(t, formattest.Tiny(1)))
	work, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(work, "bin", "quarterturn"), "./cmd/quarterturn")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Mkdir("results", 0o755); err != nil {
		t.Fatal(err)
	}
	quarterturn := func(env []string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(work, "bin", "quarterturn"), args...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for i := range *spec.Completions {
		// Kubernetes sets the variable, and enters it where an argument has it in $().
		entered := strings.NewReplacer("$(JOB_COMPLETION_INDEX)", fmt.Sprint(i), "/pictures", work, "/results", work+"/results")
		var args []string
		for _, a := range c.Args {
			args = append(args, entered.Replace(a))
		}
		for range 2 { // also once more after it was done
			quarterturn([]string{fmt.Sprint("JOB_COMPLETION_INDEX=", i)}, args...)
		}
	}
	var lines [][]byte
	for i := range *spec.Completions {
		lines = append(lines, bytes.SplitAfter(contents(t, fmt.Sprintf("results/part-%d.jsonl", i)), []byte("\n"))...)
	}
	slices.SortFunc(lines, bytes.Compare)
	quarterturn(nil, "score", "model.slab", "--out", "all.jsonl", work)
	if got := bytes.Join(lines, nil); !bytes.Equal(got, contents(t, "all.jsonl")) || len(got) == 0 {
		t.Errorf("the parts make\n%s", got)
	}
}
