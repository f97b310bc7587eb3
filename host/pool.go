package host

import (
	"cmp"
	"context"
	"sync"
)

// A pool hands out instances, at most size at a time, making them as needed.
type pool struct {
	engine engine
	slots  chan struct{} // a token for each instance in use or being started
	memory uint64        // that all instances together should hold at most; 0: no limit
	ending chan struct{} // a token for the call of close under way

	mu     sync.Mutex
	idle   []instance
	held   map[instance]uint64 // memory of each instance when it was last looked at
	closed bool
}

func newPool(e engine, c config, first instance) *pool {
	size, memory := c.pool, first.memory()
	if c.poolMemory > 0 {
		size = int(max(1, min(uint64(size), c.poolMemory/max(1, memory))))
	}
	return &pool{engine: e, slots: make(chan struct{}, size), memory: c.poolMemory, ending: make(chan struct{}, 1),
		idle: []instance{first}, held: map[instance]uint64{first: memory}}
}

// acquire waits for a free place and returns an instance.
func (p *pool) acquire(ctx context.Context) (instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.slots
		return nil, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		i := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return i, nil
	}
	p.mu.Unlock()
	return p.start(ctx)
}

// start makes an instance, which belongs to the pool and not to the call that is the first
// to need it: if ctx ends before it is there, it will be idle.
func (p *pool) start(ctx context.Context) (instance, error) {
	type started struct {
		instance
		err error
	}
	done := make(chan started, 1)
	own := context.WithoutCancel(ctx)
	go func() {
		i, err := p.engine.instantiate(own)
		if err != nil {
			<-p.slots
		}
		done <- started{i, err}
	}()
	select {
	case s := <-done:
		return s.instance, s.err
	case <-ctx.Done():
		go func() {
			if s := <-done; s.err == nil {
				p.release(own, s.instance, false)
			}
		}()
		return nil, ctx.Err()
	}
}

// release takes an instance back; a broken one is thrown away.
func (p *pool) release(ctx context.Context, i instance, broken bool) {
	p.mu.Lock()
	var all uint64
	p.held[i] = i.memory()
	for _, n := range p.held {
		all += n
	}
	crowded := p.memory > 0 && all > p.memory && len(p.held) > 1
	if broken || crowded || p.closed {
		delete(p.held, i)
		p.mu.Unlock()
		// What closing a broken instance says adds nothing to why it broke.
		_ = i.close(context.WithoutCancel(ctx))
	} else {
		p.idle = append(p.idle, i)
		p.mu.Unlock()
	}
	<-p.slots
}

// isClosed reports whether new calls are refused.
func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close refuses new calls, waits for those under way, and closes everything. A second call
// waits for the first.
func (p *pool) close(ctx context.Context) error {
	if err := take(ctx, p.ending); err != nil {
		return err
	}
	defer func() { <-p.ending }()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	for n := range cap(p.slots) {
		if err := take(ctx, p.slots); err != nil {
			for range n {
				<-p.slots
			}
			p.mu.Lock()
			p.closed = false
			p.mu.Unlock()
			return err
		}
	}
	own := context.WithoutCancel(ctx) // what has begun to be closed is closed
	var err error
	for _, i := range p.idle {
		err = cmp.Or(err, i.close(own))
	}
	p.idle, p.held = nil, nil
	err = cmp.Or(err, p.engine.close(own))
	for range cap(p.slots) {
		<-p.slots // whoever waits learns that the pool is closed
	}
	return err
}

// take puts a token in, and waits for room until ctx ends. Where there is room it does not
// ask for ctx: a program that ends because its context did is to close what it can.
func take(ctx context.Context, tokens chan<- struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	default:
	}
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
