package host

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"image"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var soak = flag.Int("soak", 1000, "requests of TestServiceSoak; the figures of docs/security.md take 200000")

// A gauge is a Metrics that remembers only how many requests are in flight.
type gauge struct{ atomic.Int64 }

func (g *gauge) InFlight(n int) { g.Store(int64(n)) }
func (*gauge) Answered(Answer)  {}

// Many requests, one in twenty of them bad in some way: every good one gets the
// right digest, every bad one its error, and nothing is left over at the end.
func TestServiceSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	seen := &gauge{}
	classifier := open(t, tinySlab(t, 3))
	c := newClient(t, Handler(classifier, WithMetrics(seen), WithMaxBody(1<<20), WithMaxPixels(1<<20)))
	const kinds = 16
	var files [kinds][]byte
	var digests [kinds]string
	for i := range files {
		img := noise(uint64(i), 20+i, 30)[i%3]
		files[i] = pngOf(t, img)
		decoded, _, err := image.Decode(bytes.NewReader(files[i]))
		if err != nil {
			t.Fatal(err)
		}
		p, err := classifier.Classify(t.Context(), decoded)
		if err != nil {
			t.Fatal(err)
		}
		digests[i] = p.Digest()
	}
	huge := bomb(t, 30000, 30000)
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	post := func(ctx context.Context, query string, body io.Reader) (int, reply, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.URL+"/v1/classify"+query, body)
		if err != nil {
			return 0, reply{}, err
		}
		answer, err := web.Do(r)
		if err != nil {
			return 0, reply{}, err
		}
		defer answer.Body.Close()
		var v reply
		err = json.NewDecoder(answer.Body).Decode(&v)
		return answer.StatusCode, v, err
	}
	bad := []func(rng *rand.Rand) (status, want int){
		func(*rand.Rand) (int, int) {
			s, _, _ := post(t.Context(), "", bytes.NewReader([]byte("not an image")))
			return s, 400
		},
		func(*rand.Rand) (int, int) { s, _, _ := post(t.Context(), "", bytes.NewReader(huge)); return s, 413 },
		func(*rand.Rand) (int, int) {
			s, _, _ := post(t.Context(), "", bytes.NewReader(make([]byte, 2<<20)))
			// The server may close the connection while the rest is still being sent.
			if s == 0 {
				s = 413
			}
			return s, 413
		},
		func(rng *rand.Rand) (int, int) {
			f := files[rng.IntN(kinds)]
			s, _, _ := post(t.Context(), "", bytes.NewReader(f[:40+rng.IntN(len(f)-60)]))
			return s, 400
		},
		func(rng *rand.Rand) (int, int) {
			s, _, _ := post(t.Context(), "?mode=wrong", bytes.NewReader(files[rng.IntN(kinds)]))
			return s, 400
		},
		func(rng *rand.Rand) (int, int) { // gone in the middle of the body
			ctx, cancel := context.WithCancel(t.Context())
			r, w := io.Pipe()
			go func() {
				w.Write(files[rng.IntN(kinds)][:10])
				cancel()
				w.CloseWithError(context.Canceled)
			}()
			s, _, err := post(ctx, "", r)
			if err == nil {
				return s, 0
			}
			return 0, 0
		},
	}
	var memory [2]runtime.MemStats
	var goroutines [2]int
	measure := func(i int) {
		web.CloseIdleConnections()
		c.server.CloseClientConnections()
		for range 50 { // connections take a while to end
			if time.Sleep(100 * time.Millisecond); runtime.NumGoroutine() <= goroutines[0]+2 {
				break
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&memory[i])
		goroutines[i] = runtime.NumGoroutine()
	}
	var left atomic.Int64
	run := func(n int) {
		left.Store(int64(n))
		var wait sync.WaitGroup
		for worker := range 8 {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(worker)))
			wait.Go(func() {
				for left.Add(-1) >= 0 {
					if rng.IntN(20) == 0 {
						k := rng.IntN(len(bad))
						if got, want := bad[k](rng); got != want {
							t.Errorf("bad request of kind %d: status %d, want %d", k, got, want)
						}
						continue
					}
					i := rng.IntN(kinds)
					if status, v, err := post(t.Context(), "", bytes.NewReader(files[i])); err != nil || status != http.StatusOK || v.Digest != digests[i] {
						t.Errorf("image %d: %d %+v %v", i, status, v, err)
					}
				}
			})
		}
		wait.Wait()
	}
	run(max(200, *soak/20)) // what grows once has grown
	measure(0)
	run(*soak)
	measure(1)
	t.Logf("%d requests: goroutines %d to %d, heap %d to %d KB, instances at most %d", *soak,
		goroutines[0], goroutines[1], memory[0].HeapAlloc/1024, memory[1].HeapAlloc/1024, len(classifier.pool.idle))
	if grown := memory[1].HeapAlloc; grown > memory[0].HeapAlloc+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", memory[0].HeapAlloc, grown)
	}
	if goroutines[1] > goroutines[0]+5 || seen.Load() != 0 || len(classifier.pool.idle) > cap(classifier.pool.slots) {
		t.Errorf("left over: %d goroutines where %d were, %d requests, %d instances", goroutines[1], goroutines[0], seen.Load(), len(classifier.pool.idle))
	}
}
