package bridge

import (
	"slices"
	"time"

	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
)

// way is how an app's notifications of one credential go to one environment.
type way struct {
	carrier
	credential Credential
	index      int  // of the credential among the app's
	only       bool // the app has no other to the environment
}

// class is what a verdict on something that went this way means to its lane. If APNs
// refuses one of several keys, that concerns only that key's topics: those of the others
// go on.
func (w *way) class(c lane.Class) lane.Class {
	unusable := c == lane.NoConnection && w.credential.Unusable() != nil
	if !w.only && (unusable || c == lane.CredentialRefused) {
		return lane.TopicRefused
	}
	return c
}

// way gives the way of notifications with the given topic in a lane of the environment e.
// What waited while the app had another environment goes the new way.
func (rt *route) way(e Environment, topic string) *way {
	e = rt.app.EnvironmentOf(e)
	ways := rt.ways[e]
	if len(ways) == 1 {
		return ways[0]
	}
	i := rt.app.CredentialIndex(e, topic)
	return ways[slices.IndexFunc(ways, func(w *way) bool { return w.index == i })]
}

// carrier is an upstream.Upstream, seen from a route.
type carrier interface {
	Send(*upstream.Push)
	Renew(bearer string)
	Retire()
}

// newRoute makes the ways of an app. The caller holds b.mu.
func (b *Bridge) newRoute(a *app, conf App) *route {
	rt := &route{app: conf, lanes: a.lanesFor(conf)}
	for _, env := range conf.Environments() {
		for i, c := range conf.Credentials {
			if !c.Serves(env) {
				continue
			}
			w := &way{credential: c, index: i}
			rt.ways[env] = append(rt.ways[env], w)
			if conf.DryRun {
				w.carrier = &upstream.DryRun{Now: b.now, Begin: begin, Answered: answered}
				continue
			}
			u := upstream.Open(b.ctx, upstream.Config{
				App: conf.Name, Endpoint: conf.EndpointFor(env), Credential: c.Credential,
				Limits: b.limits.Upstream(), Log: b.log, Now: b.now, Begin: begin, Fetch: fetch, Answered: answered,
				Trouble: func(v upstream.Verdict) { a.troubled(rt, env, w, v) },
			})
			w.carrier = u
			b.outlets = append(b.outlets, outlet{u, a, env})
		}
		for _, w := range rt.ways[env] {
			w.only = len(rt.ways[env]) == 1
		}
	}
	return rt
}

// retire lets the connections end once they have done their work.
func (rt *route) retire() {
	for _, ways := range rt.ways {
		for _, w := range ways {
			w.Retire()
		}
	}
}

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
