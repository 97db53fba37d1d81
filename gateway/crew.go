package gateway

import (
	"cmp"
	"sync"
	"time"
)

// crew are the goroutines that handshakes run on. They are kept for a while, for a
// handshake needs a stack many times larger than a goroutine begins with.
//
// One timer serves all idle members. If each had its own, it would start it after every
// job, and Go's scheduler wakes a thread for a timer that becomes the next to fire.
type crew struct {
	mu        sync.Mutex
	within    time.Duration // another idleMember, in tests
	idle      []*member     // most recently used last; that one is used first, as its stack is still cached
	watched   bool          // rest will be called
	dismissed bool
	members   sync.WaitGroup
}

type member struct {
	work   chan func() // closed to end it
	rested bool        // idle since before the last call of rest
}

// idleMember is how long a member of the crew waits for work, or up to twice that.
const idleMember = 5 * time.Second

// do runs job on a member of the crew.
func (c *crew) do(job func()) {
	c.mu.Lock()
	var m *member
	if n := len(c.idle); n > 0 {
		m = c.idle[n-1]
		c.idle = c.idle[:n-1]
	}
	c.mu.Unlock()
	if m == nil {
		m = &member{work: make(chan func(), 1)}
		c.members.Go(func() { c.serve(m) })
	}
	m.work <- job
}

func (c *crew) serve(m *member) {
	for job := range m.work {
		job()
		if !c.keep(m) {
			return
		}
	}
}

// keep makes m idle. It reports false if the crew is dismissed.
func (c *crew) keep(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed {
		return false
	}
	m.rested = false
	c.idle = append(c.idle, m)
	if !c.watched {
		c.watched = true
		time.AfterFunc(cmp.Or(c.within, idleMember), c.rest)
	}
	return true
}

// rest ends the members that have had nothing to do since its previous call.
func (c *crew) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := 0
	for _, m := range c.idle {
		if m.rested {
			close(m.work)
			continue
		}
		m.rested = true
		c.idle[kept] = m
		kept++
	}
	clear(c.idle[kept:])
	c.idle = c.idle[:kept]
	if c.watched = kept > 0; c.watched {
		time.AfterFunc(cmp.Or(c.within, idleMember), c.rest)
	}
}

// dismiss ends the members once they have nothing left to do, and waits for them.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.dismissed = true
	for _, m := range c.idle {
		close(m.work)
	}
	c.idle = nil
	c.mu.Unlock()
	c.members.Wait()
}
