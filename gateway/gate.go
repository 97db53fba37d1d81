package gateway

import (
	"context"
	"sync"
	"time"
)

// gate is a handshakeQueue with a lock and a clock.
type gate struct {
	mu    sync.Mutex
	queue *handshakeQueue
	timer *time.Timer // set while somebody waits
}

func newGate(l Limits) *gate { return &gate{queue: newHandshakeQueue(l)} }

// enter waits until a handshake from there may run, and returns its turn. drop
// is called if it must go before leave.
func (g *gate) enter(ctx context.Context, from source, drop func()) (*turn, error) {
	begun := make(chan struct{})
	t := &turn{from: from, begin: func() { close(begun) }, drop: drop}
	g.mu.Lock()
	g.queue.ask(t)
	g.grant()
	g.mu.Unlock()
	select {
	case <-begun:
		return t, nil
	case <-ctx.Done():
		g.leave(t)
		return nil, ctx.Err()
	}
}

func (g *gate) leave(t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue.leave(t)
	g.grant()
}

func (g *gate) grant() {
	g.queue.grant(time.Now())
	if g.queue.waiting > 0 && g.timer == nil {
		g.timer = time.AfterFunc(g.queue.patience, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.timer = nil
			g.grant()
		})
	}
}

func (g *gate) figures() (running, busiest, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.queue.busiest(); p != nil {
		busiest = len(p.running)
	}
	return g.queue.running, busiest, g.queue.waiting
}
