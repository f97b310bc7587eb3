package trainer

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// A run with a teacher resumes bit for bit, follows its teacher, and refuses another one.
func TestTeacher(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	c := smallConfig()
	c.Method, c.TrainPerClass, c.Epochs = "sla", 20, 2
	first, err := Start(t.Context(), filepath.Join(dir, "first"), mini, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	finish(t, first)
	teacher := filepath.Join(dir, "first", SlabFile)

	c.Method, c.Teacher, c.Mix = "baseline", teacher, "mixup"
	run := func(name string, c Config, stop int) ([]byte, error) {
		t.Helper()
		return slabOf(t, filepath.Join(dir, name), c, stop)
	}
	want, err := run("taught", c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := run("stopped", c, 3); err != nil || string(got) != string(want) {
		t.Errorf("stopped and resumed (%v), the slab differs", err)
	}
	plain := c
	plain.Teacher = ""
	if got, err := run("plain", plain, 0); err != nil || string(got) == string(want) {
		t.Errorf("the slab is the same without a teacher (%v)", err)
	}

	for name, change := range map[string]func(*Config){
		"method baseline":    func(c *Config) { c.Method = "sla" },
		"no such file":       func(c *Config) { c.Teacher = filepath.Join(dir, "missing.slab") },
		"has changed since":  func(c *Config) { c.TeacherSHA256 = strings.Repeat("0", 64) },
		"the teacher " + dir: func(c *Config) { c.Teacher = filepath.Join(dir, "first", ConfigFile) },
	} {
		bad := c
		change(&bad)
		if _, err := run("bad", bad, 0); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The teacher's logits are those of its aggregated mode, put in the order of the data
// set's classes; a class it does not know is named.
func TestTeacherLogits(t *testing.T) {
	d, err := mini.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := smallConfig()
	c.Method, c.TrainPerClass, c.Epochs = "sla", 20, 1
	m, _, err := Train(t.Context(), d, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := *d
	n := len(d.ClassNames)
	other.ClassNames = nil
	for y := range n {
		other.ClassNames = append(other.ClassNames, d.ClassNames[(y+3)%n])
	}
	teacher, err := evaluate.NewTeacher(m, &other)
	if err != nil {
		t.Fatal(err)
	}
	const images = 5
	size := d.Height * d.Width * d.Channels
	got := make([]float32, images*n)
	if err := teacher.Logits(got, d.Test.Pixels[:images*size]); err != nil {
		t.Fatal(err)
	}
	classifier, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range images {
		img := d.Image(&d.Test, i)
		if err := errors.Join(classifier.Begin(d.Width, d.Height), classifier.Rows(img.Pix)); err != nil {
			t.Fatal(err)
		}
		r, err := classifier.Run(sla.Aggregated)
		if err != nil {
			t.Fatal(err)
		}
		for y := range n {
			if got[i*n+y] != r.Logits[(y+3)%n] {
				t.Errorf("image %d, class %d: %v, want %v", i, y, got[i*n+y], r.Logits[(y+3)%n])
			}
		}
	}

	other.ClassNames[4] = "hat"
	if _, err := evaluate.NewTeacher(m, &other); err == nil || !strings.Contains(err.Error(), "only fashion-mini has hat") {
		t.Errorf("a class that the teacher does not know: %v", err)
	}
	other.ClassNames = other.ClassNames[:2]
	if _, err := evaluate.NewTeacher(m, &other); err == nil || !strings.Contains(err.Error(), "only the slab has ") {
		t.Errorf("a data set of two classes: %v", err)
	}
}
