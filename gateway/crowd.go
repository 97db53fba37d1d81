package gateway

import (
	"math"
	"sync/atomic"
	"time"
)

// crowd has the connections whose handshakes are under way, by source. It chooses which
// of them gives way when there is no place for another.
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
	answered atomic.Bool // our hello, or what goes before it, was sent
	owed     atomic.Bool // the next step is ours: the client has done its part for now
	unread   func() bool // reports whether something has come that was not read yet
}

// owes reports whether the next step is the client's, and nothing of it has come. Whatever
// comes meanwhile sets owed before it is read, so owed is looked at last.
func (w *waiter) owes() bool { return !w.unread() && !w.owed.Load() }

// believes reports whether the client may believe that it is connected: with TLS 1.3 it does
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

// spare takes one out of the crowd; nil if there is none to take. So strangers may fill all
// places without keeping a provider out.
func (c *crowd) spare(now time.Time) *waiter { return c.takeOut(c.all, now) }

// spareOf takes one of a source out of the crowd; nil if there is none to take.
func (c *crowd) spareOf(from source, now time.Time) *waiter {
	return c.takeOut(c.bySource[from], now)
}

// takeOut looks at a few, in no particular order, and takes out the one that costs most:
// the time since it came, multiplied by how many its source has in the crowd. Those that
// had time to say hello but have not go first. Those whose hello we have answered go last,
// for their next message may be on its way. None goes that may believe that it is
// connected, for it would lose what it writes. The last two kinds have running handshakes,
// so there are few of them. Established connections do not count: a busy provider is no
// attacker.
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
