package bridge

import (
	"slices"
	"time"
)

// spentFor is how long a retired pool has to have had nothing to do before it is
// closed: somebody who looked up the route before the reload may still send to it.
const spentFor = time.Minute

// closeSpent closes the pools that no app goes by any more.
func (b *Bridge) closeSpent(now time.Time) {
	b.mu.Lock()
	var spent []*pool
	b.pools = slices.DeleteFunc(b.pools, func(p *pool) bool {
		over := p.spentAt(now) && !b.routed(p)
		if over {
			spent = append(spent, p)
			if a := b.apps[p.app]; a != nil {
				a.pooled.add(p.stats())
			}
		}
		return over
	})
	b.mu.Unlock()
	for _, p := range spent {
		p.Close()
	}
}

// routed says whether an app goes by p. b.mu is held.
func (b *Bridge) routed(p *pool) bool {
	goes := func(a *app) bool { return slices.Contains(a.route.Load().upstreams[:], upstream(p)) }
	for _, a := range b.apps {
		if goes(a) {
			return true
		}
	}
	return slices.ContainsFunc(b.removed, goes)
}

// spentAt says whether p has had nothing to do for long, retired.
func (p *pool) spentAt(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.retired || len(p.all) > 0 || !p.queue.empty() || p.counts.inFlight > 0:
		p.spent = time.Time{}
	case p.spent.IsZero():
		p.spent = now
	}
	return !p.spent.IsZero() && now.Sub(p.spent) >= spentFor
}
