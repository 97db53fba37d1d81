package bridge

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"

	"apnsbridge/binproto"
	"apnsbridge/bridge/badtokens"
	"apnsbridge/bridge/budget"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/failures"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
	"apnsbridge/bridge/trace"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store"
)

// app is the part of an app that lasts as long as the process, even when its configuration
// is reloaded, taken out or put back.
type app struct {
	name      string
	bridge    *Bridge
	route     atomic.Pointer[route]
	lanes     [2]*appLane // of Production and Sandbox
	account   *budget.Account
	badTokens *badtokens.List
	packets   tally[binproto.Status] // sent to providers
	watched   trace.Watched
	health    *health.Health
	feedback  feedback.App
	refusal   lastRefusal
	failures  failures.List
	log       atomic.Pointer[ledgerlog.Log] // the bridge's, unless the app was taken with one of its own
	hushed    atomic.Bool                   // no session tells of a failure
	unread    atomic.Bool                   // no session is read, except those that are ending

	// Under the bridge's lock.
	configured    bool
	tenure        tenure
	stopLog       func()             // ends log, if the app was taken with one of its own
	conversations conversation.Stats // of clients that were forgotten
	pooled        [2]upstream.Stats  // of upstreams that were closed, by environment
}

// route is how an app's notifications reach APNs at present.
type route struct {
	app   App
	ways  [2][]*way   // to Production and Sandbox
	lanes [2]*appLane // which arrivals enter
}

// topic is the apns-topic of a line's notifications.
func (rt *route) topic(n *lane.Line) string {
	return cmp.Or(n.Name, rt.app.Topic)
}

var errNoTopic = errors.New("the app has no topic set and the client's certificate names none")

// newApp makes an app without a configuration.
func (b *Bridge) newApp(name string) *app {
	a := &app{name: name, bridge: b}
	a.badTokens = badtokens.New(b.limits.BadTokenTTL, b.limits.BadTokenTTLRepeated, b.limits.BadTokenEntries)
	a.account = b.budget.Account()
	a.health = health.New(name, b.log)
	a.feedback.Name, a.feedback.Recordable = name, a.recordable
	a.log.Store(b.ledgerLog)
	if b.fleet {
		a.tenure = away
		a.hushed.Store(true)
	}
	for e := range a.lanes {
		a.lanes[e] = b.newLane(a, Environment(e))
	}
	return a
}

// reroute gives a the configuration conf. The caller holds b.mu, and calls then, which
// tells the lanes, after releasing it.
func (b *Bridge) reroute(a *app, conf App) (then func()) {
	old := a.route.Load()
	switch {
	case old == nil:
		a.route.Store(b.newRoute(a, conf))
	case a.configured && old.app.Same(conf):
		a.route.Store(&route{app: conf, ways: old.ways, lanes: a.lanesFor(conf)})
	default:
		a.route.Store(b.newRoute(a, conf))
		old.retire()
	}
	if old != nil {
		a.badTokens.Flush(b.now())
	}
	start := !a.configured
	a.configured = true
	return func() {
		a.during(func(l *appLane, at lane.Now) { l.reconfigure(old, a.route.Load(), start, at) })
	}
}

// lanesFor gives the lanes that arrivals are to enter. An app that changes its environment
// stays in the lane in which something waits, so that each device keeps its order.
func (a *app) lanesFor(conf App) [2]*appLane {
	lanes := a.lanes
	if e := conf.Environment; e != ByListener && !lanes[e].inUse() && lanes[1-e].inUse() {
		lanes[e] = lanes[1-e]
	}
	return lanes
}

// inUse reports whether something waits in the lane, or is with APNs.
func (l *appLane) inUse() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.core.Lines() {
		if !n.Idle() {
			return true
		}
	}
	return len(l.spooled()) > 0
}

// spooled gives the lane's lines that have something in the spool.
func (l *appLane) spooled() []store.Line {
	spool := l.app.bridge.spool
	if spool == nil {
		return nil
	}
	return slices.DeleteFunc(spool.Lines(), func(line store.Line) bool {
		return line.App != l.app.name || line.Environment != l.environment.String()
	})
}

// reconfigure tells the lane of a new configuration. start says that the app had none
// before. The caller holds l.mu.
func (l *appLane) reconfigure(old, now *route, start bool, at lane.Now) {
	for _, n := range l.core.Lines() {
		l.configure(n)
	}
	switch {
	case old == nil:
	case !old.app.Same(now.app):
		l.core.Renewed(at)
	case old.app.Topic != now.app.Topic:
		if n := l.core.Line(""); n != nil {
			l.core.TopicRenewed(n, at)
		}
	}
	if start {
		l.takeUp()
		l.core.Start(at)
	}
}

// takeUp makes a line for everything that waits on disk. The caller holds l.mu.
func (l *appLane) takeUp() {
	for _, line := range l.spooled() {
		l.line(line.Topic)
	}
}

// takeOut stops an app that is no longer configured. What it has taken waits in the spool, if
// there is one; otherwise it is still delivered. The caller holds b.mu, and calls then, which
// stops the lanes and ends the sessions, after releasing it.
func (b *Bridge) takeOut(a *app) (then func()) {
	a.configured = false
	return func() {
		if b.spool != nil {
			a.during(func(l *appLane, now lane.Now) { l.core.Stop(now) })
			a.route.Load().retire()
		}
		for _, s := range b.sessionsOf(a) {
			s.End()
		}
	}
}
