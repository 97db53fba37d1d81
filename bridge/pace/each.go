package pace

import "time"

// Each holds each of many to a rate. It remembers those that came last, and no more
// of them than it was made for; whoever is forgotten may begin anew.
//
// It has neither lock nor clock.
type Each[K comparable] struct {
	spread     spread
	half       int             // of those it remembers
	young, old map[K]time.Time // when the whole burst will be free again
}

// NewEach remembers at most that many, and two in any case.
func NewEach[K comparable](r Rate, most int) *Each[K] {
	return &Each[K]{spread: r.spread(), half: max(1, most/2), young: make(map[K]time.Time), old: make(map[K]time.Time)}
}

// Take says how long k has to wait for its turn, and gives it the turn unless
// that is longer than patience.
func (e *Each[K]) Take(k K, now time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	free, known := e.young[k]
	if !known {
		free = e.old[k]
	}
	if free, wait = e.spread.next(1, free, now); wait > patience {
		return wait, false
	}
	if !known {
		delete(e.old, k)
		if len(e.young) >= e.half {
			e.young, e.old = e.old, e.young
			clear(e.young)
		}
	}
	e.young[k] = free
	return wait, true
}

// Remembered is how many it knows of.
func (e *Each[K]) Remembered() int { return len(e.young) + len(e.old) }
