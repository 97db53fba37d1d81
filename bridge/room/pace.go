package room

import "time"

// Rate is how often something may happen: Count times at once, and as often
// again in each Per, evenly.
type Rate struct {
	Count int
	Per   time.Duration
}

// Pace holds one to a rate: free is when its whole burst will be free again. It
// has neither lock nor clock.
type Pace struct {
	every, burst time.Duration
	free         time.Time
}

// NewPace makes one that has its whole burst.
func NewPace(r Rate) Pace {
	every := r.Per / time.Duration(r.Count)
	return Pace{every: every, burst: every * time.Duration(r.Count)}
}

// Take notes that it happens.
func (p *Pace) Take(now time.Time) {
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(p.every)
}

// Room reports whether it may happen.
func (p *Pace) Room(now time.Time) bool { return p.free.Sub(now)+p.every <= p.burst }
