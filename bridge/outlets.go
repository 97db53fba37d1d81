package bridge

import (
	"slices"
	"time"

	"apnsbridge/bridge/upstream"
)

// outlet is an upstream with whose notifications it carries, and where.
type outlet struct {
	*upstream.Upstream
	app         *app
	environment Environment
}

// spentFor is how long a retired upstream has to have had nothing to do before it
// is closed: another goroutine that looked up the route before the reload may still
// send to it.
const spentFor = time.Minute

// closeSpent closes the upstreams that no app goes by any more.
func (b *Bridge) closeSpent(now time.Time) {
	b.mu.Lock()
	var spent []outlet
	b.outlets = slices.DeleteFunc(b.outlets, func(u outlet) bool {
		over := u.IdleFor(now) >= spentFor && !u.routed()
		if over {
			spent = append(spent, u)
			u.app.pooled[u.environment].Add(u.Stats())
		}
		return over
	})
	b.mu.Unlock()
	for _, u := range spent {
		u.Close()
	}
}

// routed reports whether its app goes by o. The bridge's lock is held.
func (o outlet) routed() bool {
	a := o.app
	if !a.configured && a.bridge.spool != nil {
		return false
	}
	ways := a.route.Load().ways
	return slices.ContainsFunc(slices.Concat(ways[:]...), func(w *way) bool { return w.carrier == carrier(o.Upstream) })
}
