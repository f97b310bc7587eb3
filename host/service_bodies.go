package host

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
)

// A bodyBudget bounds the memory of all bodies together. A body is charged for what is
// there, not for what its headers announce. When nothing is left, the body that has been
// arriving for the longest time is evicted: whoever sends steadily is never the oldest
// for long, so clients that send a byte now and then cannot keep others out.
type bodyBudget struct {
	mu       sync.Mutex
	left     int64
	arriving []*body       // oldest first
	freed    chan struct{} // closed when bytes come back; nil if nobody waits
}

// A body is one request's body: its bytes, and what they cost.
type body struct {
	budget  *bodyBudget
	charged int64
	stop    func() // ends a read that is under way
	evicted bool
}

// open begins to read a body; stop ends its read, from another goroutine, when it is
// evicted.
func (b *bodyBudget) open(stop func()) *body {
	c := &body{budget: b, stop: stop}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arriving = append(b.arriving, c)
	return c
}

// arrived says that a body is complete, so that it cannot be evicted any more.
func (c *body) arrived() error {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(c)
	if c.evicted {
		return errEvicted
	}
	return nil
}

// remove takes a body off the list of those that arrive. The lock is held.
func (b *bodyBudget) remove(c *body) {
	for i, a := range b.arriving {
		if a == c {
			b.arriving = append(b.arriving[:i], b.arriving[i+1:]...)
			return
		}
	}
}

// charge takes n bytes of the budget for a body, or returns errEvicted.
func (c *body) charge(n int64) error {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.left < n && !c.evicted {
		if len(b.arriving) == 0 || b.arriving[0] == c {
			c.evicted = true // the oldest, or all memory is in bodies that are at work
			break
		}
		oldest := b.arriving[0]
		oldest.evicted = true
		b.remove(oldest)
		oldest.stop()
		b.wait()
	}
	if c.evicted {
		return errEvicted
	}
	b.left -= n
	c.charged += n
	return nil
}

// wait waits until bytes come back. The lock is held, but not while it waits.
func (b *bodyBudget) wait() {
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	freed := b.freed
	b.mu.Unlock()
	<-freed // the evicted one frees its bytes as soon as its read returns
	b.mu.Lock()
}

// free returns n bytes to the budget.
func (c *body) free(n int64) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	c.charged -= n
	b.left += n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// close returns everything to the budget.
func (c *body) close() {
	c.budget.mu.Lock()
	c.budget.remove(c)
	c.budget.mu.Unlock()
	c.free(c.charged)
}

// read reads all of r, growing and charging as bytes come. expect is how many are
// announced, or -1.
func (c *body) read(r io.Reader, expect int64) ([]byte, error) {
	size := int64(16 << 10)
	if expect >= 0 && expect < size {
		size = expect + 1 // room to see the end without growing
	}
	if err := c.charge(size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, c.readError(err, len(b))
		}
		if len(b) < cap(b) {
			continue
		}
		grown := 2 * int64(cap(b))
		if expect >= int64(len(b)) {
			grown = min(grown, expect+1)
		}
		if err := c.charge(grown); err != nil {
			return nil, err
		}
		old := int64(cap(b))
		b = append(make([]byte, 0, grown), b...)
		c.free(old)
	}
}

// readError tells the ways apart in which a body does not arrive.
func (c *body) readError(err error, have int) error {
	c.budget.mu.Lock()
	evicted := c.evicted
	c.budget.mu.Unlock()
	var limit *http.MaxBytesError
	switch {
	case evicted:
		return errEvicted
	case errors.As(err, &limit):
		return tooLarge("the body has more than %d bytes", limit.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &httpError{http.StatusRequestTimeout, "slow", "only " + itoa(have) + " bytes of the body arrived in time"}
	}
	return &bodyError{err, have}
}

// A bodyError is a body that ended before its end.
type bodyError struct {
	cause error
	have  int
}

func (e *bodyError) Error() string {
	return "the body ended after " + itoa(e.have) + " bytes: " + e.cause.Error()
}
func (e *bodyError) Unwrap() error { return e.cause }
