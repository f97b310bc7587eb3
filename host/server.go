package host

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// NewServer returns an http.Server for a Service, or for a handler that leads to one,
// whose deadlines fit WithTimeout's d: a request, headers and body, is there within d, its
// answer is read within d and a minute more, and an idle connection is closed after two
// minutes. Headers take at most 64 KiB. Have it serve a listener of Bound's.
func NewServer(h http.Handler, d time.Duration) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: 64 << 10,
		ReadTimeout: d, WriteTimeout: d + time.Minute, IdleTimeout: 2 * time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if b := boundOf(c); b != nil {
				ctx = context.WithValue(ctx, boundKey{}, b)
			}
			return ctx
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if b := boundOf(c); b != nil && state == http.StateIdle {
				b.rest()
			}
		},
	}
}

// Bound returns a listener that holds at most n connections at a time. When there are as
// many, the one that has been idle for the longest time is closed for the next; if all
// have requests, the next waits. Besides, a server of NewServer learns from it when a
// request's first byte came, so that a Service's deadline counts from there, and not from
// the end of the headers.
func Bound(l net.Listener, n int) net.Listener {
	b := &boundListener{Listener: l, limit: max(1, n), open: map[*boundConn]bool{}}
	b.room.L = &b.mu
	return b
}

type boundListener struct {
	net.Listener
	limit int

	mu     sync.Mutex
	room   sync.Cond
	open   map[*boundConn]bool
	closed bool
}

func (l *boundListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	b := &boundConn{Conn: c, l: l}
	b.rest()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) >= l.limit && !l.closed {
		if idle := l.longestIdle(); idle != nil {
			delete(l.open, idle)
			idle.Conn.Close() // its server sees the end and cleans up
			continue
		}
		l.room.Wait()
	}
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	l.open[b] = true
	return b, nil
}

// longestIdle is the connection that has waited longest for a request, or nil.
func (l *boundListener) longestIdle() *boundConn {
	var longest *boundConn
	for c := range l.open {
		if c.started.Load() == 0 && (longest == nil || c.idleSince.Load() < longest.idleSince.Load()) {
			longest = c
		}
	}
	return longest
}

func (l *boundListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// A boundConn is a connection of a boundListener.
type boundConn struct {
	net.Conn
	l         *boundListener
	idleSince atomic.Int64 // a time.Time's UnixNano
	started   atomic.Int64 // when the first byte of its request came; 0 while it is idle
}

type boundKey struct{}

// boundOf finds the boundConn in a connection, perhaps of TLS.
func boundOf(c net.Conn) *boundConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	b, _ := c.(*boundConn)
	return b
}

// rest says that a request has been answered.
func (c *boundConn) rest() {
	c.idleSince.Store(time.Now().UnixNano())
	c.started.Store(0)
	c.l.mu.Lock()
	c.l.room.Signal()
	c.l.mu.Unlock()
}

func (c *boundConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.started.CompareAndSwap(0, time.Now().UnixNano())
	}
	return n, err
}

func (c *boundConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.room.Signal()
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// startOf returns when a request began, as far as is known.
func startOf(r *http.Request) time.Time {
	c, ok := r.Context().Value(boundKey{}).(*boundConn)
	if !ok || r.ProtoMajor > 1 { // a connection of HTTP/2 has many requests
		return time.Now()
	}
	c.started.CompareAndSwap(0, time.Now().UnixNano()) // it came with the request before
	return time.Unix(0, c.started.Load())
}
