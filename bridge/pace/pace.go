// Package pace holds to a rate what others cause: handshakes, notifications, readings,
// and the lines of a log.
package pace

import "time"

// Rate is how often something may happen: Count times at once, and as often
// again in each Per, evenly.
type Rate struct {
	Count int
	Per   time.Duration
}

// Or is r, or value where r says nothing.
func (r Rate) Or(value Rate) Rate {
	if r.Count <= 0 || r.Per <= 0 {
		return value
	}
	return r
}

// spread is a Rate as its sums need it.
type spread struct{ every, burst time.Duration }

func (r Rate) spread() spread {
	every := r.Per / time.Duration(r.Count)
	return spread{every, every * time.Duration(r.Count)}
}

// next is when the whole burst will be free again if it happens n times now, where
// before it would have been at free, and how long the last has to wait for its turn.
func (s spread) next(n int, free, now time.Time) (time.Time, time.Duration) {
	if free.Before(now) {
		free = now
	}
	free = free.Add(time.Duration(n) * s.every)
	return free, max(0, free.Sub(now)-s.burst)
}

// Pace holds one to a rate. It has neither lock nor clock.
type Pace struct {
	spread spread
	free   time.Time // when the whole burst will be free again
}

// New returns a Pace at its beginning.
func New(r Rate) Pace { return Pace{spread: r.spread()} }

// Take notes that it happens n times, and says how long the last has to wait for its
// turn.
func (p *Pace) Take(n int, now time.Time) (wait time.Duration) {
	p.free, wait = p.spread.next(n, p.free, now)
	return wait
}

// Room reports whether it may happen n times.
func (p *Pace) Room(n int, now time.Time) bool {
	_, wait := p.spread.next(n, p.free, now)
	return wait == 0
}
