package bridge

import (
	"slices"
	"time"

	"apnsbridge/bridge/upstream"
)

// spentFor is how long a retired upstream has to have had nothing to do before it
// is closed: somebody who looked up the route before the reload may still send to
// it.
const spentFor = time.Minute

// closeSpent closes the upstreams that no app goes by any more.
func (b *Bridge) closeSpent(now time.Time) {
	b.mu.Lock()
	var spent []*upstream.Upstream
	b.upstreams = slices.DeleteFunc(b.upstreams, func(u *upstream.Upstream) bool {
		over := u.IdleFor(now) >= spentFor && !b.routed(u)
		if over {
			spent = append(spent, u)
			if a := b.apps[u.App()]; a != nil {
				a.pooled.Add(u.Stats())
			}
		}
		return over
	})
	b.mu.Unlock()
	for _, u := range spent {
		u.Close()
	}
}

// routed says whether an app goes by u. b.mu is held.
func (b *Bridge) routed(u *upstream.Upstream) bool {
	goes := func(a *app) bool { return slices.Contains(a.route.Load().upstreams[:], carrier(u)) }
	for _, a := range b.apps {
		if goes(a) {
			return true
		}
	}
	return slices.ContainsFunc(b.removed, goes)
}
