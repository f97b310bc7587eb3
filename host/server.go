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
				_, secure := c.(*tls.Conn)
				b.handshake.Store(secure)
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
// many, the one that has been idle for the longest time is closed for the next, or else the
// one whose client has read nothing of its answer for the longest time, two seconds at
// least; if all have requests that go on, the next waits. Besides, a server of NewServer
// learns from it when a request's first byte came, so that a Service's deadline counts from
// there, and not from the end of the headers or the beginning of a TLS handshake.
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
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(sendBuffer) // a system that cannot has its own
	}
	b := &boundConn{Conn: c, l: l}
	b.rest()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) >= l.limit && !l.closed {
		if c := l.expendable(); c != nil {
			delete(l.open, c)
			c.Conn.Close() // its server sees the end and cleans up
			continue
		}
		// Clients that stop reading say nothing: look again.
		look := time.AfterFunc(stall, l.wake)
		l.room.Wait()
		look.Stop()
	}
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	l.open[b] = true
	return b, nil
}

// stall is how long a client that has been sent part of an answer may read nothing before
// others need its connection more.
const stall = 2 * time.Second

// sendBuffer is how many bytes of an answer the system holds for a client. Writing goes on when a third
// of them has been read: of the megabytes that systems take by themselves, a slow client
// reads so many in more than stall.
const sendBuffer = 256 << 10

// expendable is the connection that has waited longest for a request, or else for its
// client to read, or nil.
func (l *boundListener) expendable() *boundConn {
	var idle, stuck *boundConn
	since := time.Now().Add(-stall).UnixNano()
	for c := range l.open {
		if c.started.Load() == 0 && (idle == nil || c.idleSince.Load() < idle.idleSince.Load()) {
			idle = c
		}
		if w := c.writing.Load(); w != 0 && w <= since {
			since, stuck = w, c
		}
	}
	if idle == nil {
		return stuck
	}
	return idle
}

func (l *boundListener) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room.Signal()
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
	writing   atomic.Int64 // since when its client has read nothing of what is sent; 0 while nothing is
	handshake atomic.Bool  // whether what is read is TLS's
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
	c.l.wake()
}

func (c *boundConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.handshake.Load() {
		c.started.CompareAndSwap(0, time.Now().UnixNano())
	}
	return n, err
}

// writeStep is how many bytes a client reads, at most, to be seen to read.
const writeStep = 16 << 10

func (c *boundConn) Write(p []byte) (n int, err error) {
	defer c.writing.Store(0)
	for n < len(p) && err == nil {
		c.writing.Store(time.Now().UnixNano())
		var k int
		k, err = c.Conn.Write(p[n:min(n+writeStep, len(p))])
		n += k
	}
	return n, err
}

// SetReadDeadline learns that a TLS handshake is over: net/http then takes its deadline off.
func (c *boundConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.handshake.Store(false)
	}
	return c.Conn.SetReadDeadline(t)
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
