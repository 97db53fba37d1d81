package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"apnsbridge/bridge/pace"
)

var errOverRate = errors.New("gateway: more handshakes from this address than handshake_rate_per_address allows")

// errEvicted is why a handshake ends that has had its time when others needed its
// place.
var errEvicted = errors.New("gateway: others needed the handshake's place")

// gate lets handshakes run: a pace for each source, then a handshakeQueue, with
// a lock and a clock.
type gate struct {
	patience time.Duration // for one's turn by the rate

	mu      sync.Mutex
	pace    *pace.Each[source]
	pausing int // until their turn by the rate
	delayed uint64
	queue   *handshakeQueue
	timer   *time.Timer // set while a handshake waits
}

// newGate leaves those who have to wait for their turn by the rate half of their
// time for the handshake.
func newGate(l Limits) *gate {
	return &gate{
		patience: l.HandshakeTimeout / 2,
		pace:     pace.NewEach[source](l.HandshakeRatePerAddress, l.Connections),
		queue:    newHandshakeQueue(l),
	}
}

// enter waits until a handshake from there may run, and returns its turn; whole
// says that its hello is complete. drop is called if it must go before leave. The
// error is errOverRate at once if the rate would let it wait for too long.
func (g *gate) enter(ctx context.Context, from source, whole bool, drop func()) (*turn, error) {
	if err := g.pause(ctx, from); err != nil {
		return nil, err
	}
	begun, evicted := make(chan struct{}), make(chan struct{})
	t := &turn{from: from, whole: whole, begin: func() { close(begun) }, drop: func() { drop(); close(evicted) }}
	g.mu.Lock()
	g.queue.ask(t)
	g.grant()
	g.mu.Unlock()
	select {
	case <-begun:
		return t, nil
	case <-evicted:
		return nil, errEvicted
	case <-ctx.Done():
		g.leave(t)
		return nil, ctx.Err()
	}
}

// pause keeps from to its rate.
func (g *gate) pause(ctx context.Context, from source) error {
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
	turn := time.NewTimer(wait)
	defer turn.Stop()
	select {
	case <-turn.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goesOn says that the client of a turn has done its part.
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

// figures fills in what is known here.
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
