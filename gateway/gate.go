package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"apnsbridge/bridge/pace"
)

var errOverRate = errors.New("gateway: more handshakes from this address than handshake_rate_per_address allows")

// errEvicted ends a handshake that has had its time when others need its place.
var errEvicted = errors.New("gateway: others needed the handshake's place")

// gate lets handshakes run. It keeps each source to its pace, and then asks a
// handshakeQueue, to which it adds a lock and a clock.
type gate struct {
	patience time.Duration // how long a handshake may wait for its turn by the rate

	mu      sync.Mutex
	pace    *pace.Each[source]
	pausing int // handshakes that wait for their turn by the rate
	delayed uint64
	queue   *handshakeQueue
	timer   *time.Timer // set while a handshake waits
}

// newGate leaves handshakes that wait for their turn by the rate half of their time.
func newGate(l Limits) *gate {
	return &gate{
		patience: l.HandshakeTimeout / 2,
		pace:     pace.NewEach[source](l.HandshakeRatePerAddress, l.Connections),
		queue:    newHandshakeQueue(l),
	}
}

// enter waits until the handshake of t may run, but not beyond deadline. t.drop is called if
// it has to go before leave. If the rate would make it wait for too long, the error is
// errOverRate at once.
func (g *gate) enter(ctx context.Context, deadline time.Time, t *turn) error {
	if err := g.pause(ctx, deadline, t.from); err != nil {
		return err
	}
	begun, evicted := make(chan struct{}), make(chan struct{})
	begin, drop := t.begin, t.drop
	t.begin = func() { begin(); close(begun) }
	t.drop = func() { drop(); close(evicted) }
	g.mu.Lock()
	g.queue.ask(t)
	g.grant()
	g.mu.Unlock()
	select {
	case <-begun:
		return nil
	default: // most need no timer
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case <-begun:
		return nil
	case <-evicted:
		return errEvicted
	case <-ctx.Done():
		g.leave(t)
		return ctx.Err()
	}
}

// pause keeps from to its rate.
func (g *gate) pause(ctx context.Context, deadline time.Time, from source) error {
	g.mu.Lock()
	wait, ok := g.pace.Take(from, time.Now(), g.patience)
	if ok && wait > 0 {
		g.delayed++
		g.pausing++
	}
	g.mu.Unlock()
	switch {
	case !ok:
		return errOverRate
	case wait == 0:
		return nil
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.pausing--
	}()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	turn := time.NewTimer(wait)
	defer turn.Stop()
	select {
	case <-turn.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goesOn says that a handshake has made a step: its client has done its part, or we have.
func (g *gate) goesOn(t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue.goesOn(t, time.Now())
	g.grant()
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
		g.timer = time.AfterFunc(g.queue.patience/4, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.timer = nil
			g.grant()
		})
	}
}

// figures fills in the figures that the gate has.
func (g *gate) figures(s *PortStats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.queue.busiest(); p != nil {
		s.HandshakesOfBusiest = len(p.running)
	}
	s.Handshakes = g.queue.running
	s.HandshakesWaiting = g.queue.waiting + g.pausing
	s.HandshakesDelayed = g.delayed
	s.AddressesPaced = g.pace.Remembered()
}
