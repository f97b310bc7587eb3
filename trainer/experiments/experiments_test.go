package experiments

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

func tiny() *Experiment {
	small := func(method string) func(c *trainer.Config) {
		return func(c *trainer.Config) {
			c.Method, c.Net, c.Epochs, c.BatchSize, c.TrainPerClass = method, "resnet8w8", 2, 16, 100
		}
	}
	return &Experiment{Name: "tiny", data: dataset.Source{Data: "fashion-mini"}, exits: true,
		ways: []way{{"plain", 2, small("baseline")}, {"both", 1, small("sla+sd")}, {"taught", 1, small("baseline")}}, teachers: map[string]string{"taught": "both"}}
}

// Stopped in the middle and started again, an experiment goes on, prints the same
// table as one that ran through, and the third time trains nothing.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	run := func(ctx context.Context, name string, report func(string, trainer.Event)) (string, error) {
		var b strings.Builder
		err := tiny().Run(ctx, &b, filepath.Join(dir, name), report)
		return b.String(), err
	}
	want, err := run(t.Context(), "straight", nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(want), "\n")
	if len(lines) != 9 || !strings.HasPrefix(lines[2], "| plain | 2 | 0.00179 | 2 | baseline | 1 | ") || !strings.HasPrefix(lines[3], "| 2 nets of plain together | | | | baseline | 2 | ") ||
		!strings.HasPrefix(lines[4], "| both | 2 | 0.00717 | 1 | single | 1 | ") || !strings.HasPrefix(lines[5], "| | | | | aggregated | 4 | ") || !strings.HasPrefix(lines[7], "| | | | | adaptive | ") ||
		!strings.HasPrefix(lines[8], "| taught | 2 | 0.00179 | 1 | baseline | 1 | ") {
		t.Errorf("table:\n%s", want)
	}
	if table, err := os.ReadFile(filepath.Join(dir, "straight", TableFile)); err != nil || string(table) != want {
		t.Errorf("%s: %v", TableFile, err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "straight", ChartFile))
	if err != nil || xml.Unmarshal(svg, new(struct{})) != nil || !bytes.Contains(svg, []byte("2 nets of plain together")) || !bytes.Contains(svg, []byte("aggregated")) {
		t.Errorf("%s: %d bytes, %v", ChartFile, len(svg), err)
	}
	checkRecords(t, filepath.Join(dir, "straight"), want)

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := run(ctx, "stopped", func(name string, e trainer.Event) {
		if name == "plain, seed 2" && e.Step == 70 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var partial strings.Builder
	finished := tiny()
	finished.FinishedOnly = true
	if err := finished.Run(t.Context(), &partial, filepath.Join(dir, "stopped"), nil); err != nil ||
		!strings.Contains(partial.String(), "| plain | 2 | 0.00179 | 1 |") || !strings.Contains(partial.String(), "Begun and not complete: plain, seed 2.") {
		t.Errorf("the table of what is complete (%v):\n%s", err, partial.String())
	}
	if err := finished.Run(t.Context(), &partial, filepath.Join(dir, "empty"), nil); err == nil || !strings.Contains(err.Error(), "no complete run") {
		t.Errorf("a table of nothing: %v", err)
	}
	partial.Reset()
	only := tiny()
	only.Only = regexp.MustCompile("^plain, seed 2$")
	if err := only.Run(t.Context(), &partial, filepath.Join(dir, "stopped"), nil); err != nil ||
		!strings.Contains(partial.String(), "| plain | 2 | 0.00179 | 2 |") || strings.Contains(partial.String(), "| both |") {
		t.Errorf("only one run (%v):\n%s", err, partial.String())
	}
	only.Only = regexp.MustCompile("^plain, sed 2$")
	if err := only.Run(t.Context(), &partial, filepath.Join(dir, "stopped"), nil); err == nil || !strings.Contains(err.Error(), `is called ^plain, sed 2$; the first of 4 is "plain, seed 1", the last "taught, seed 1"`) {
		t.Errorf("a run that is not there: %v", err)
	}
	if got, err := run(t.Context(), "stopped", nil); err != nil || got != want {
		t.Errorf("after a stop (%v):\n%s\nwant\n%s", err, got, want)
	}
	steps := 0
	if got, err := run(t.Context(), "stopped", func(string, trainer.Event) { steps++ }); err != nil || got != want || steps != 0 {
		t.Errorf("the third time: %v, %d steps", err, steps)
	}
	config := filepath.Join(dir, "stopped", "both, seed 1", trainer.ConfigFile)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(b), `"epochs": 2`, `"epochs": 3`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), "stopped", nil); err == nil || !strings.Contains(err.Error(), "both, seed 1: the run that is there has other settings") {
		t.Errorf("a run of other settings: %v", err)
	}
}

// What chooses settings shows the scores on the images held out alone, though the slab keeps
// those on the test images too.
func TestValidation(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	e := tiny()
	e.validation, e.exits, e.ways = true, false, e.ways[:1]
	if err := e.Run(t.Context(), new(strings.Builder), dir, nil); err != nil {
		t.Fatal(err)
	}
	var records []record
	b, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err == nil {
		err = json.Unmarshal(b, &records)
	}
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records of two seeds in one mode: %v", len(records), err)
	}
	for _, r := range records {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("plain, seed %d", r.Seed), trainer.SlabFile))
		if err != nil {
			t.Fatal(err)
		}
		m, err := format.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Metrics) != 2 || m.Metrics[0].Split != "validation" || m.Metrics[1].Split != "test" || r.Accuracy != m.Metrics[0].Accuracy {
			t.Errorf("%+v, the slab has %+v", r, m.Metrics)
		}
	}
}

// checkRecords compares the files for programs with the table.
func checkRecords(t *testing.T, dir, table string) {
	t.Helper()
	var records []record
	b, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err == nil {
		err = json.Unmarshal(b, &records)
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, CSVFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != len(records)+1 || len(records) != 8 {
		t.Fatalf("%d records, %d lines: %v", len(records), len(lines), err)
	}
	for i, r := range records {
		if l := lines[i+1]; l[0] != r.Training || l[2] != r.Mode || l[7] != strconv.FormatFloat(r.Accuracy, 'g', -1, 64) {
			t.Errorf("line %q is not record %+v", l, r)
		}
		if r.Training != "plain" && !strings.Contains(table, fmt.Sprintf("| %s | %.3g | %.2f |", r.Mode, r.Passes, 100*r.Accuracy)) {
			t.Errorf("the table lacks %+v", r)
		}
	}
}

// Of several seeds it is the spread that says how sure a mean is, of one the interval over its episodes.
func TestEpisodeScores(t *testing.T) {
	var s episodeScores
	for _, want := range []string{"60.00 ± 0.50", "61.00 ± 1.41", "62.00 ± 2.00"} {
		s.add(fewshot.Estimate{Accuracy: 0.6 + 0.02*float64(len(s.accuracies)), Interval: 0.005})
		if got := s.String(); got != want {
			t.Errorf("%d seeds: %s, want %s", len(s.accuracies), got, want)
		}
	}
}

func TestAll(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, e := range All(DataPaths{}) {
		for _, w := range e.ways {
			c := trainer.DefaultConfig()
			if w.change(&c); w.seeds < 1 || c == trainer.DefaultConfig() && w.name != "sla+sd" {
				t.Errorf("%s, %s: %d seeds, %+v", e.Name, w.name, w.seeds, c)
			}
		}
		for student, teacher := range e.teachers {
			at := func(name string) int { return slices.IndexFunc(e.ways, func(w way) bool { return w.name == name }) }
			if at(teacher) < 0 || at(student) < at(teacher) {
				t.Errorf("%s: %s is taught by %s, which must come first", e.Name, student, teacher)
			}
		}
	}
	if err := experiment(t, "cifar10").Run(t.Context(), new(strings.Builder), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "cifar10 needs the folder") {
		t.Errorf("without the data set: %v", err)
	}
}

func experiment(t *testing.T, name string) *Experiment {
	t.Helper()
	all := All(DataPaths{})
	i := slices.IndexFunc(all, func(e Experiment) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("no experiment %s", name)
	}
	return &all[i]
}
