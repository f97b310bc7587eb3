package bench

import (
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("times engines")
	}
	slab := slatest.Slab(t, formattest.Tiny(3))
	calls := 0
	r, err := Run(t.Context(), slab, Engines, 3, func(done, of int) {
		if calls++; done != calls || of != 3 {
			t.Errorf("progress %d of %d", done, of)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Engines) != 5 || calls != 3 {
		t.Fatalf("%+v, %d rounds", r, calls)
	}
	for i, e := range r.Engines {
		if e.Name != Engines[i] || e.Open <= 0 || e.First <= 0 || len(e.Modes) != 4 {
			t.Errorf("%+v", e)
		}
		if s := e.Start; (s != nil) != strings.HasPrefix(e.Name, "node") || s != nil && (s.Compile <= 0 || s.Instantiate <= 0 || s.Open <= 0 || s.Compile+s.Instantiate+s.Open > e.Open) {
			t.Errorf("%s starts in %+v, %v ms", e.Name, s, e.Open)
		}
		for _, m := range e.Modes {
			if m.Low <= 0 || m.Median < m.Low || m.High < m.Median || (m.Passes == 4) != (m.Mode == "aggregated") {
				t.Errorf("%s: %+v", e.Name, m)
			}
		}
	}
	if _, err := Run(t.Context(), slab, []string{"v8"}, 1, nil); err == nil || !strings.Contains(err.Error(), "the engines are native, wazero, wazero-simd, node") {
		t.Errorf("an unknown engine: %v", err)
	}
	t.Setenv("PATH", "")
	if _, err := Run(t.Context(), slab, []string{"node"}, 1, nil); err == nil || !strings.Contains(err.Error(), "node is not installed") {
		t.Errorf("without Node: %v", err)
	}
}
