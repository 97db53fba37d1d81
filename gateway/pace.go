package gateway

import "time"

// Rate is how often something may happen: Count times at once, and as often
// again in each Per, evenly.
type Rate struct {
	Count int
	Per   time.Duration
}

// pace holds each of many to a rate. It remembers those that came last, and no more
// of them than it was made for; whoever is forgotten may begin anew.
//
// It has neither lock nor clock.
type pace[K comparable] struct {
	every, burst time.Duration
	half         int             // of those it remembers
	young, old   map[K]time.Time // when the whole burst will be free again
}

// newPace remembers at most that many, and two in any case.
func newPace[K comparable](r Rate, most int) *pace[K] {
	every := r.Per / time.Duration(r.Count)
	return &pace[K]{
		every: every,
		burst: every * time.Duration(r.Count),
		half:  max(1, most/2),
		young: make(map[K]time.Time),
		old:   make(map[K]time.Time),
	}
}

// take says how long k has to wait for its turn, and gives it the turn unless
// that is longer than patience.
func (p *pace[K]) take(k K, now time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	free, known := p.young[k]
	if !known {
		free = p.old[k]
	}
	if free.Before(now) {
		free = now
	}
	free = free.Add(p.every)
	if wait = max(0, free.Sub(now)-p.burst); wait > patience {
		return wait, false
	}
	if !known {
		delete(p.old, k)
		if len(p.young) >= p.half {
			p.young, p.old = p.old, p.young
			clear(p.young)
		}
	}
	p.young[k] = free
	return wait, true
}

// remembered is how many pace knows of.
func (p *pace[K]) remembered() int { return len(p.young) + len(p.old) }
