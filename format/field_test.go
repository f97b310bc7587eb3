package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

// constant is what docs/format.md promises that decoding takes beyond the slab's size.
const constant = 8 << 20

// seal encodes any manifest, and the data that its layers and heads ask for if it is
// valid and those are few. The hashes are right.
func seal(t testing.TB, m *format.Manifest) []byte {
	t.Helper()
	data := []byte{}
	if m.Tensors == nil && m.Validate() == nil {
		table := m.TensorShapes()
		if n := format.DataLength(table); n <= 1<<20 {
			data = make([]byte, n)
			for i := range table {
				x := &table[i]
				part := data[x.Offset : x.Offset+4*x.Elements()]
				for k := 0; k < len(part); k += 4 {
					binary.LittleEndian.PutUint32(part[k:], math.Float32bits(float32(k%64-31)/64))
				}
				sum := sha256.Sum256(part)
				x.SHA256 = sum[:]
			}
		}
		m.Tensors = table
	}
	if m.Metrics == nil {
		m.Metrics = []format.Metric{}
	}
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	enc.UseCompactInts(true)
	if err := enc.Encode(m); err != nil {
		t.Fatal(err)
	}
	return join(b.Bytes(), data)
}

// allocated is what f allocates in all, in bytes.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// many is a manifest in which one list has so many elements.
func many(list string, n int) *format.Manifest {
	m := &formattest.Tiny(1).Manifest
	repeat := func() []int { return make([]int, n) }
	switch list {
	case "labels":
		m.Labels = make([]string, n)
	case "transforms":
		for range n {
			m.Transforms = append(m.Transforms, format.Transform{Turns: 1, Channels: []int{0}})
		}
	case "channels":
		m.Transforms[1].Channels = repeat()
	case "mean":
		m.Input.Mean = make([]float32, n)
	case "std":
		m.Input.Std = make([]float32, n)
	case "layers":
		for range n {
			m.Layers = append(m.Layers, m.Layers[0])
		}
	case "heads":
		for range n {
			m.Heads = append(m.Heads, m.Heads[0])
		}
	case "exits":
		m.Exits = make([]format.Exit, n)
	case "metrics":
		m.Metrics = make([]format.Metric, n)
	case "tensors":
		m.Tensors = make([]format.Tensor, n)
		for i := range m.Tensors {
			m.Tensors[i].SHA256 = make([]byte, 32)
			m.Tensors[i].Shape = []int{}
		}
	case "shape":
		m.Tensors = []format.Tensor{{Shape: repeat(), SHA256: make([]byte, 32)}}
	}
	return m
}

var lists = []string{"labels", "transforms", "channels", "mean", "std", "layers", "heads", "exits", "metrics", "tensors", "shape"}

// A list that is too long is refused before its first element is read: time and memory
// do not depend on its length.
func TestFieldA24ManyTransforms(t *testing.T) {
	for _, list := range lists {
		n := 4_000_000
		switch list { // as many as 4 MiB hold
		case "transforms":
			n = 190_000
		case "layers":
			n = 40_000
		case "heads":
			n = 300_000
		case "exits", "metrics":
			n = 60_000
		case "mean", "std":
			n = 800_000
		case "tensors":
			n = 50_000
		}
		slab := seal(t, many(list, n))
		var err error
		took := allocated(func() { _, err = format.Decode(slab) })
		if !errors.Is(err, format.ErrUnsupported) || !strings.Contains(err.Error(), "more than") || !strings.Contains(err.Error(), list) {
			t.Errorf("%d %s: %v", n, list, err)
		}
		if took > 1<<20 {
			t.Errorf("%d %s, %d bytes: decoding allocated %d bytes", n, list, len(slab), took)
		}
	}
}

// What is within its maximum, or nearly so, takes the memory that is promised.
func TestFieldA25DecodingTakesNoMoreThanTheFile(t *testing.T) {
	worst := 0.0
	check := func(name string, slab []byte) {
		took := allocated(func() { format.Decode(slab) })
		if took > len(slab)+constant {
			t.Errorf("%s: decoding %d bytes allocated %d", name, len(slab), took)
		}
		worst = max(worst, float64(took-len(slab)))
	}
	for _, list := range lists {
		for _, n := range []int{1 << 8, 1 << 10, 4096, 8198, 1 << 16} {
			check(list+" "+strconv.Itoa(n), seal(t, many(list, n)))
		}
	}
	m := &formattest.Tiny(1).Manifest
	m.Labels = nil
	for i := range 1 << 16 {
		m.Labels = append(m.Labels, strconv.FormatInt(int64(i), 36))
	}
	check("many classes", seal(t, m))
	m.Layers, m.Metrics = nil, nil
	for i := range 4095 {
		m.Layers = append(m.Layers, format.Layer{Name: strconv.Itoa(i), Op: format.OpConv, Input: i, Out: 1, Kernel: 1, Stride: 1})
	}
	m.Layers = append(m.Layers, format.Layer{Name: "mean", Op: format.OpMean, Input: 4095})
	m.Tensors = nil
	for range 1024 {
		m.Metrics = append(m.Metrics, format.Metric{Mode: m.Recommended, Split: "test"})
	}
	check("all at their most", seal(t, m))
	t.Logf("at most %.1f MiB beyond the size of the slab", worst/(1<<20))
}

// Every recipe of fuzzing bounds the minimising, which otherwise takes all the time, and
// every target begins from a committed corpus.
func TestFieldC36FuzzRecipes(t *testing.T) {
	recipe := regexp.MustCompile(`-fuzz[ =]`)
	for _, name := range []string{"../Makefile", "../docs/security.md", "../CONTRIBUTING.md", "../README.md"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			if recipe.MatchString(line) && !strings.Contains(line, "-fuzzminimizetime 10x") {
				t.Errorf("%s fuzzes without -fuzzminimizetime 10x: %s", name, line)
			}
		}
	}
	for _, target := range []string{"FuzzDecode", "FuzzManifest"} {
		if files, _ := filepath.Glob("testdata/fuzz/" + target + "/*"); len(files) == 0 {
			t.Errorf("%s has no committed corpus", target)
		}
	}
}

// FuzzManifest changes sound manifests and builds data for them, so that what is checked
// behind the hashes is reached. Decoding, counting, and running what is small keep to
// budgets of memory and time.
func FuzzManifest(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := formattest.Dice(b)
		m := []*format.Model{formattest.Tiny(1), formattest.Tiny(3), formattest.Odd()}[d.Of(3)].Manifest
		formattest.Mutate(&m, &d)
		slab := seal(t, &m)
		start := time.Now()
		var model *format.Model
		var err error
		if took := allocated(func() { model, err = format.Decode(slab) }); took > len(slab)+constant {
			t.Fatalf("decoding %d bytes allocated %d", len(slab), took)
		}
		if err != nil {
			var e *format.Error
			if !errors.As(err, &e) {
				t.Fatalf("an error of another kind: %v", err)
			}
		} else {
			run(t, model, slab)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Fatalf("%d bytes took %v", len(slab), took)
		}
	})
}

// run runs a model if it is small, and holds it to what is counted.
func run(t *testing.T, m *format.Model, slab []byte) {
	if again, err := pack.Encode(m); err != nil || !bytes.Equal(again, slab) {
		t.Fatalf("a slab that was read does not encode to itself (%v)", err)
	}
	const limit, work = 64 << 20, 1 << 26
	var c *sla.Classifier
	var err error
	took := allocated(func() { c, err = sla.NewWithin(m, limit) })
	if need := sla.Need(&m.Manifest); (err == nil) != (need <= limit) || err != nil && !errors.Is(err, format.ErrUnsupported) {
		t.Fatalf("needs %d of %d bytes: %v", need, limit, err)
	}
	if err != nil || sla.CheckWork(&m.Manifest, work) != nil {
		return
	}
	if counted := sla.Memory(&m.Manifest); took > counted+counted/8+1<<20 {
		t.Fatalf("a Classifier allocated %d bytes, counted are %d", took, counted)
	}
	if err := c.SelfTest(); err != nil && !errors.Is(err, sla.ErrSelfTest) {
		t.Fatal(err)
	}
}
