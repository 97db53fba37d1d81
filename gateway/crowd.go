package gateway

import (
	"math"
	"sync/atomic"
	"time"
)

// crowd are the connections that are within their handshakes, by source. It
// chooses who gives way where there is no place for another.
//
// It has neither lock nor clock.
type crowd struct {
	patience time.Duration // for a hello
	all      map[*waiter]struct{}
	bySource map[source]map[*waiter]struct{}
}

// waiter is one of a crowd.
type waiter struct {
	from     source
	since    time.Time
	greeted  atomic.Bool // its hello is complete
	answered atomic.Bool // by our hello, or what goes before that
	owed     atomic.Bool // something of ours: its client has done its part for now
	unread   func() bool // asked whether something has come that has not been read
}

// owes reports whether its client owes us something that has not come either. What comes
// meanwhile, and is read, is owed by us before it is read, so that is asked last.
func (w *waiter) owes() bool { return !w.unread() && !w.owed.Load() }

// believes reports whether its client may believe that it is connected: with TLS 1.3 it does
// as soon as it has answered our hello.
func (w *waiter) believes() bool { return w.answered.Load() && !w.owes() }

func newCrowd(patience time.Duration) *crowd {
	return &crowd{patience: patience, all: make(map[*waiter]struct{}), bySource: make(map[source]map[*waiter]struct{})}
}

func (c *crowd) add(w *waiter) {
	c.all[w] = struct{}{}
	of := c.bySource[w.from]
	if of == nil {
		of = make(map[*waiter]struct{})
		c.bySource[w.from] = of
	}
	of[w] = struct{}{}
}

// remove reports whether w was there.
func (c *crowd) remove(w *waiter) bool {
	if _, there := c.all[w]; !there {
		return false
	}
	delete(c.all, w)
	of := c.bySource[w.from]
	if delete(of, w); len(of) == 0 {
		delete(c.bySource, w.from)
	}
	return true
}

// move gives w another source.
func (c *crowd) move(w *waiter, from source) {
	there := c.remove(w)
	w.from = from
	if there {
		c.add(w)
	}
}

// spare takes one out of the crowd, nil if it is empty. Strangers can thus fill
// all places and keep no provider out.
func (c *crowd) spare(now time.Time) *waiter { return c.takeOut(c.all, now) }

// spareOf takes one of a source out of the crowd, nil if it has none.
func (c *crowd) spareOf(from source, now time.Time) *waiter {
	return c.takeOut(c.bySource[from], now)
}

// takeOut looks at a few, as they come, and takes out whoever costs most: the
// time it has taken, as often as its source has others in the crowd. Those who
// have had time to say hello, and have not, go first, and those whose hello we have
// answered last: what they say to it may be on its way. None goes who may believe that
// it is connected: it would lose what it writes. Both have handshakes that run, and
// are few. Established connections count for nothing: a busy provider is no attacker.
func (c *crowd) takeOut(some map[*waiter]struct{}, now time.Time) *waiter {
	const few = 32
	var spared *waiter
	dearest, seen := math.Inf(-1), 0
	for w := range some {
		if w.believes() {
			continue
		}
		age := now.Sub(w.since)
		cost := age.Seconds() * float64(len(c.bySource[w.from]))
		if !w.greeted.Load() && age >= c.patience {
			cost += math.MaxUint32
		}
		if w.answered.Load() {
			cost -= math.MaxUint32
		}
		if cost > dearest {
			spared, dearest = w, cost
		}
		if seen++; seen == few {
			break
		}
	}
	if spared != nil {
		c.remove(spared)
	}
	return spared
}
