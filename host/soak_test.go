package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format"
)

var soak = flag.Int("soak", 1000, "honest requests of TestServiceSoak; the figures of docs/security.md take 200000")

// soakTimeout is the deadline of the service that is soaked, which slow bodies use up.
const soakTimeout = 3 * time.Second

// A gauge is a Metrics that remembers how many requests are in flight, and how many ended
// with each status.
type gauge struct {
	inFlight atomic.Int64
	statuses [600]atomic.Int64
}

func (g *gauge) InFlight(n int)    { g.inFlight.Store(int64(n)) }
func (g *gauge) Answered(a Answer) { g.statuses[a.Status].Add(1) }

// A soaked is a service under load, and what its clients send.
type soaked struct {
	t       *testing.T
	service *Service
	client  *client
	web     *http.Client
	seen    *gauge
	slab    []byte
	files   [][]byte
	digests []string // of files
	bomb    []byte   // a JPEG of many scans
	huge    []byte   // a PNG that claims many pixels
	slabs   [][]byte // hostile

	mu  sync.Mutex
	bad map[string]int // how many of each kind
}

func newSoaked(t *testing.T) *soaked {
	s := &soaked{t: t, seen: &gauge{}, slab: tinySlab(t, 3), bomb: scanBomb(4336, 3864, 7000), huge: bomb(t, 30000, 30000), bad: map[string]int{}}
	classifier, err := Open(t.Context(), s.slab)
	if err != nil {
		t.Fatal(err)
	}
	s.service = NewService(classifier, WithMetrics(s.seen), WithMaxBody(1<<20), WithMaxPixels(32<<20), WithTimeout(soakTimeout))
	s.client = newClient(t, s.service)
	s.web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	for i := range 16 {
		img := noise(uint64(i), 20+i, 30)[i%3]
		p, err := classifier.Classify(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		s.files, s.digests = append(s.files, pngOf(t, img)), append(s.digests, p.Digest())
	}
	// Damaged in their manifests, in their tensors, and cut.
	for _, at := range []int{16, 40, len(s.slab) / 2, len(s.slab) - 1} {
		broken := bytes.Clone(s.slab)
		broken[at] ^= 0x40
		s.slabs = append(s.slabs, broken, s.slab[:at])
	}
	return s
}

// post sends a request and returns its status and answer.
func (s *soaked) post(ctx context.Context, path string, body io.Reader) (int, reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.client.server.URL+path, body)
	if err != nil {
		return 0, reply{}, err
	}
	answer, err := s.web.Do(r)
	if err != nil {
		return 0, reply{}, err
	}
	defer answer.Body.Close()
	var v reply
	err = json.NewDecoder(answer.Body).Decode(&v)
	return answer.StatusCode, v, err
}

// refused sends a request that is to fail so.
func (s *soaked) refused(path string, body []byte, want int) error {
	status, _, err := s.post(s.t.Context(), path, bytes.NewReader(body))
	if want == http.StatusRequestEntityTooLarge && err != nil {
		return nil // the server may close while the rest is still being sent
	}
	if status != want {
		return fmt.Errorf("status %d, want %d (%v)", status, want, err)
	}
	return nil
}

// raw sends text over a connection of its own and hands it to f.
func (s *soaked) raw(text string, f func(net.Conn) error) error {
	conn, err := net.Dial("tcp", s.client.server.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	return f(conn)
}

// swap has a classifier of the same slab take the place of the one before.
func (s *soaked) swap() error {
	c, err := Open(s.t.Context(), s.slab)
	if err != nil {
		return err
	}
	return s.service.Swap(c).Close(s.t.Context())
}

// hostile are the kinds of bad requests.
var hostile = []struct {
	name string
	do   func(s *soaked, rng *rand.Rand) error
}{
	{"scan bomb", func(s *soaked, _ *rand.Rand) error { return s.refused("/v1/classify", s.bomb, 413) }},
	{"pixel bomb", func(s *soaked, _ *rand.Rand) error { return s.refused("/v1/classify", s.huge, 413) }},
	{"long body", func(s *soaked, _ *rand.Rand) error { return s.refused("/v1/classify", make([]byte, 2<<20), 413) }},
	{"no image", func(s *soaked, _ *rand.Rand) error { return s.refused("/v1/classify", []byte("not an image"), 400) }},
	{"truncated image", func(s *soaked, rng *rand.Rand) error {
		f := s.files[rng.IntN(len(s.files))]
		return s.refused("/v1/classify", f[:40+rng.IntN(len(f)-60)], 400)
	}},
	{"bad query", func(s *soaked, rng *rand.Rand) error {
		queries := []string{"mode=wrong", "top=1;mode=single", "mode=%zz", "top=1&top=2", "top=-1", "x=y"}
		return s.refused("/v1/classify?"+queries[rng.IntN(len(queries))], s.files[0], 400)
	}},
	{"bad batch", func(s *soaked, _ *rand.Rand) error { return s.refused("/v1/batch", s.files[0], 415) }},
	{"bad tensor", func(s *soaked, _ *rand.Rand) error {
		return s.refused("/v2/models/tiny/infer", []byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[99999999,99999999],"data":[]}]}`), 400)
	}},
	{"slow body", func(s *soaked, _ *rand.Rand) error {
		return s.raw("POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", func(conn net.Conn) error {
			answer := make([]byte, 12)
			if err := conn.SetReadDeadline(time.Now().Add(10 * soakTimeout)); err != nil {
				return err
			}
			if _, err := io.WriteString(conn, "x"); err != nil {
				return err
			}
			if _, err := io.ReadFull(conn, answer); err != nil || !strings.HasSuffix(string(answer), "408") {
				return fmt.Errorf("%q %v", answer, err)
			}
			return nil
		})
	}},
	{"client that never reads", func(s *soaked, _ *rand.Rand) error {
		return s.raw(strings.Repeat("GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 20), func(net.Conn) error {
			time.Sleep(time.Second / 2)
			return nil
		})
	}},
	{"client that goes", func(s *soaked, rng *rand.Rand) error {
		f := s.files[rng.IntN(len(s.files))]
		return s.raw(fmt.Sprintf("POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(f), f[:rng.IntN(len(f)+1)]),
			func(net.Conn) error { return nil })
	}},
	{"hostile slab", func(s *soaked, rng *rand.Rand) error {
		_, err := Open(s.t.Context(), s.slabs[rng.IntN(len(s.slabs))])
		if !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrNotSlab) && !errors.Is(err, format.ErrUnsupported) && !errors.Is(err, format.ErrVersion) {
			return fmt.Errorf("a hostile slab: %v", err)
		}
		if rng.IntN(20) > 0 {
			return nil
		}
		return s.swap()
	}},
}

// run sends n honest requests from eight clients, and, if bad, one bad request beside
// every 19 of them. It returns how long the honest ones took.
func (s *soaked) run(n int, bad bool) []time.Duration {
	var wait, badWait sync.WaitGroup
	work := make(chan int)
	for k := range 64 {
		rng := rand.New(rand.NewPCG(uint64(n), uint64(k)))
		badWait.Go(func() {
			for kind := range work {
				if err := hostile[kind].do(s, rng); err != nil {
					s.t.Errorf("%s: %v", hostile[kind].name, err)
				}
				s.mu.Lock()
				s.bad[hostile[kind].name]++
				s.mu.Unlock()
			}
		})
	}
	took := make([]time.Duration, n)
	var next atomic.Int64
	for range 8 {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if bad && i%19 == 0 {
					work <- i / 19 % len(hostile)
				}
				file := i % len(s.files)
				start := time.Now()
				status, v, err := s.post(s.t.Context(), "/v1/classify", bytes.NewReader(s.files[file]))
				took[i] = time.Since(start)
				if err != nil || status != http.StatusOK || v.Digest != s.digests[file] {
					s.t.Errorf("an honest request: %d %+v %v", status, v, err)
				}
			}
		})
	}
	wait.Wait()
	close(work)
	badWait.Wait()
	slices.Sort(took)
	return took
}

// A rest is what there is while nobody asks.
type rest struct {
	goroutines, connections, instances, places, workers int
	heap, memory                                        uint64 // bytes; memory is that of the instances
	bodies                                              int64
}

// atRest waits until no more than was is left, or for some seconds.
func (s *soaked) atRest(was rest) (now rest) {
	s.web.CloseIdleConnections()
	s.client.server.CloseClientConnections()
	listener := s.client.server.Listener.(*boundListener)
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		listener.mu.Lock()
		now.connections = len(listener.open)
		listener.mu.Unlock()
		if now.goroutines = runtime.NumGoroutine(); now.goroutines <= was.goroutines && now.connections <= was.connections {
			break
		}
	}
	runtime.GC()
	runtime.GC() // what sync.Pools held
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	now.heap = memory.HeapAlloc
	pool := s.service.classifier.Load().pool
	pool.mu.Lock()
	now.instances = len(pool.idle)
	for _, i := range pool.idle { // their memories grow on their own, up to their limit
		now.memory += i.memory()
	}
	pool.mu.Unlock()
	now.places, now.workers = len(s.service.places), len(s.service.work)+len(s.service.large)
	s.service.bodies.mu.Lock()
	now.bodies = s.service.bodies.left
	s.service.bodies.mu.Unlock()
	return now
}

// Many honest requests, first alone, then beside bad ones of every kind: all are answered,
// and rightly, whatever the others do, in times that do not grow much; and nothing is
// left over.
func TestServiceSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := newSoaked(t)
	defer func() { s.service.Swap(nil).Close(context.WithoutCancel(t.Context())) }()
	if err := s.swap(); err != nil {
		t.Fatal(err)
	}
	s.run(max(200, *soak/20), true) // what grows once has grown
	before := s.atRest(rest{})
	alone := s.run(*soak, false)
	beside := s.run(*soak, true)
	after := s.atRest(before)

	p99 := func(d []time.Duration) time.Duration { return d[len(d)*99/100].Round(10 * time.Microsecond) }
	t.Logf("%d honest requests alone: p99 %v; as many beside bad ones: p99 %v", *soak, p99(alone), p99(beside))
	t.Logf("bad ones: %v", s.bad)
	t.Logf("at rest before %+v, after %+v", before, after)
	for status := range s.seen.statuses {
		if n := s.seen.statuses[status].Load(); n > 0 {
			t.Logf("status %d: %d", status, n)
		}
	}
	if *soak >= 100_000 && p99(beside) > 2*p99(alone) { // fewer say little
		t.Errorf("p99 grew from %v to %v", p99(alone), p99(beside))
	}
	if after.heap > before.heap+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+5 || after.connections > 0 || after.places > 0 || after.workers > 0 ||
		after.bodies != before.bodies || after.bodies != 4*s.service.config.maxBody ||
		after.instances > cap(s.service.classifier.Load().pool.slots) || s.seen.inFlight.Load() != 0 {
		t.Errorf("left over: %+v where %+v was", after, before)
	}
	if s.seen.statuses[http.StatusTooManyRequests].Load() > 0 || s.seen.statuses[http.StatusInternalServerError].Load() > 0 {
		t.Error("some were told that the service is busy, or failed")
	}
}
