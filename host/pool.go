package host

import (
	"cmp"
	"context"
	"sync"
)

// A pool hands out instances, at most size at a time, making them as needed.
type pool struct {
	engine engine
	slots  chan struct{} // a token for each instance in use

	mu     sync.Mutex
	idle   []instance
	closed bool
}

func newPool(e engine, size int, first instance) *pool {
	return &pool{engine: e, slots: make(chan struct{}, size), idle: []instance{first}}
}

// acquire waits for a free place and gives an instance.
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
	i, err := p.engine.instantiate(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return i, nil
}

// release takes an instance back; a broken one is thrown away.
func (p *pool) release(ctx context.Context, i instance, broken bool) {
	p.mu.Lock()
	if broken || p.closed {
		p.mu.Unlock()
		// What closing a broken instance says adds nothing to why it broke.
		_ = i.close(context.WithoutCancel(ctx))
	} else {
		p.idle = append(p.idle, i)
		p.mu.Unlock()
	}
	<-p.slots
}

// close refuses new calls, waits for those under way, and closes everything.
func (p *pool) close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	for n := range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			for range n {
				<-p.slots
			}
			p.mu.Lock()
			p.closed = false
			p.mu.Unlock()
			return ctx.Err()
		}
	}
	var err error
	for _, i := range p.idle {
		err = cmp.Or(err, i.close(ctx))
	}
	p.idle = nil
	err = cmp.Or(err, p.engine.close(ctx))
	for range cap(p.slots) {
		<-p.slots // whoever waits learns that the pool is closed
	}
	return err
}
