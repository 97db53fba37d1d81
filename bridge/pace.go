package bridge

import "time"

// Rate is how often something may happen: Count times at once, and as often
// again in each Per, evenly.
type Rate struct {
	Count int
	Per   time.Duration
}

// pace holds one to a rate: free is when its whole burst will be free again. It
// has neither lock nor clock.
type pace struct {
	every, burst time.Duration
	free         time.Time
}

func newPace(r Rate) pace {
	every := r.Per / time.Duration(r.Count)
	return pace{every: every, burst: every * time.Duration(r.Count)}
}

// take notes that it happens.
func (p *pace) take(now time.Time) {
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(p.every)
}

// room reports whether it may happen.
func (p *pace) room(now time.Time) bool { return p.free.Sub(now)+p.every <= p.burst }
