package bridge

import (
	"maps"
	"time"
)

// tickInterval is how often ledgers and apps do what has become due: a failure, for one, waits
// no more than a second for the heads before it. Tests shorten it before any of them begins.
var tickInterval = 100 * time.Millisecond

const (
	// idleClients is how many clients without a session are kept because their
	// habits are known.
	idleClients = 10_000

	// spareInterval is how often sessions are asked to free memory while there is none.
	spareInterval = time.Second
)

// runClock tells the time to clients and apps until done.
func (b *Bridge) runClock(done <-chan struct{}) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			b.tick()
		}
	}
}

func (b *Bridge) tick() {
	b.mu.Lock()
	clients := maps.Clone(b.clients)
	b.mu.Unlock()
	now, short := b.now(), false
	for _, a := range b.everyApp() {
		short = short || !a.account.Room()
		a.tendHealth(now)
		a.watched.Tick(now)
		for _, l := range a.lanes {
			l.nudge(b.clock.Now())
		}
	}
	if short && now.Sub(b.spared) >= spareInterval {
		b.spared = now
		// Sessions keep their latest notification. Those of many silent sessions could
		// leave no room for others.
		for _, s := range b.sessionsOf(nil) {
			s.client.during(func(time.Time) { s.talk.Spare() })
		}
	}
	b.endLeaving(now)
	b.tendEnding(now)
	b.closeSpent(b.now())
	b.tombs.Tick(now)
	b.mu.Lock()
	for _, o := range b.outlets {
		o.Nudge(now)
	}
	b.mu.Unlock()
	idle := 0
	for key, c := range clients {
		now := b.now()
		c.mu.Lock()
		if due, ok := c.ledger.Deadline(); ok && !now.Before(due) {
			c.ledger.Tick(now)
		}
		for s := range c.watched {
			s.takeOverSlow(now)
			c.touch(s) // a verdict that came by way of another session has not touched it
		}
		forgettable := c.sessions == 0 && c.forgettable(idle >= idleClients)
		if c.sessions == 0 {
			idle++
		}
		c.carryOut()
		if forgettable {
			b.forgetClient(key, c)
		}
	}
}
