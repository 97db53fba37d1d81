package h2conn

import (
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// deliver calls back about everything that has happened, until nothing has. One
// goroutine at a time does so; another one's news is picked up by it.
func (c *Conn) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delivering || c.left == 0 {
		return
	}
	c.delivering = true
	c.left++ // whoever leaves meanwhile may have left news behind
	defer func() {
		c.delivering = false
		c.leave()
	}()
	for {
		c.admitWaiting()
		now := c.now()
		room, next := c.m.roomAgain(now)
		c.arm(min(next, c.m.checkRoom(now)))
		if c.m.drained() {
			c.finish(http2.ErrCodeNo, c.m.reason)
		}
		b := c.m.done
		state := c.m.state
		changed := state != c.told
		if len(b.requests) == 0 && !changed && !room {
			return
		}
		c.m.done = batch{}
		c.told = state
		if len(b.requests) > 0 {
			c.m.stats.Bursts++
		}
		c.mu.Unlock()
		c.complete(b.requests)
		if changed && c.cfg.Changed != nil {
			c.cfg.Changed(c, state)
		}
		if room && c.cfg.Room != nil {
			c.cfg.Room(c)
		}
		c.mu.Lock()
		c.m.reuse(b)
	}
}

// idle is called by the reader when it has nothing left to take.
func (c *Conn) idle() (worth int) {
	c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.worthwhile(c.trunk.read.Load())
}

// complete sorts out the RoundTrips.
func (c *Conn) complete(done []*Request) {
	own := slices.DeleteFunc(done, func(r *Request) bool {
		if r.call == nil {
			return false
		}
		r.call.finish()
		return true
	})
	if len(own) > 0 {
		c.cfg.Complete(c, own)
	}
}

// leave is called with the lock when a goroutine or a delivery has ended.
func (c *Conn) leave() {
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// granularity keeps deadlines that are close together from running the timer
// one by one.
const granularity = int64(5 * time.Millisecond)

// arm makes the timer run at the given time or before.
func (c *Conn) arm(at int64) {
	if at >= c.due || c.m.state == Closed {
		return
	}
	c.due = at
	c.timer.Reset(max(0, time.Duration(at-c.now())))
}

// A timer that runs so late was held up by the sleep of this process or its machine, which
// says nothing about the server: its answers may have come and not been read yet. What they are
// waited for begins anew, and the reader has the grace to read them.
const (
	overslept = int64(5 * time.Second)
	grace     = int64(time.Second)
)

// tick is what the timer runs: deadlines and health.
func (c *Conn) tick() {
	c.mu.Lock()
	if c.m.state == Closed {
		c.mu.Unlock()
		return
	}
	now := c.now()
	heard := c.trunk.heard.Load()
	if late := now - c.due; late >= overslept {
		c.m.postpone(late+grace, now, heard)
	}
	c.m.expire(now)
	next, err := c.m.checkHealth(now, heard)
	c.due = never
	c.arm(min(next, c.m.checkRoom(now)))
	c.moved()
	c.mu.Unlock()
	if err != nil {
		c.end(http2.ErrCodeNo, err)
		return
	}
	c.deliver()
}
