package bridge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"apnsbridge/binproto"
	"apnsbridge/bridge/badtokens"
	"apnsbridge/bridge/budget"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
	"apnsbridge/bridge/trace"
	"apnsbridge/bridge/upstream"
)

// app is what lasts of an app, as long as the process: while its configuration is
// reloaded, taken out and put back.
type app struct {
	name      string
	bridge    *Bridge
	route     atomic.Pointer[route]
	lanes     [2]*appLane // of Production and Sandbox
	account   *budget.Account
	badTokens *badtokens.List
	packets   tally[binproto.Status]      // that providers were told
	watch     atomic.Pointer[trace.Watch] // nil: nothing is traced
	health    *health.Health
	feedback  feedback.App
	refusal   lastRefusal
	failures  failures
	log       atomic.Pointer[ledgerlog.Log] // the bridge's, unless it was taken with its own
	hushed    atomic.Bool                   // no session tells of a failure

	// Under the bridge's lock.
	configured    bool
	tenure        tenure
	stopLog       func()             // of log, if it was taken with its own
	conversations conversation.Stats // of clients that were forgotten
	pooled        [2]upstream.Stats  // of upstreams that were closed, by environment
}

// route is how an app's notifications go at present.
type route struct {
	app   App
	ways  [2][]*way   // to Production and Sandbox
	lanes [2]*appLane // that what arrives for them enters
}

// carrier is an upstream.Upstream, seen from a route.
type carrier interface {
	Send(*upstream.Push)
	Renew(bearer string)
	Retire()
}

// environment is where notifications from a listener of the environment e go.
func (rt *route) environment(e Environment) Environment {
	if rt.app.Environment == ByListener {
		return e
	}
	return rt.app.Environment
}

// topic is what APNs is asked under for those of a line.
func (rt *route) topic(n *lane.Line) string {
	if n.Name == "" {
		return rt.app.Topic
	}
	return n.Name
}

// topicWritten is the name of the line for a provider's notifications: empty while
// the app has a topic of its own, which is looked up when they are sent.
func (rt *route) topicWritten(o Origin) string {
	if rt.app.Topic != "" {
		return ""
	}
	return o.Topic
}

// fingerprint names what the guard of a line is under: credential, endpoint,
// environment and topic.
func (rt *route) fingerprint(e Environment, line string) string {
	topic := line
	if line == "" {
		topic = rt.app.Topic
	}
	digest := rt.way(e, topic).credential.Digest()
	endpoint := rt.app.Endpoint
	if rt.environment(e) == Sandbox {
		endpoint = cmp.Or(rt.app.SandboxEndpoint, endpoint)
	}
	what := fmt.Appendf(digest[:], "\x00%s\x00%s\x00%s", endpoint, rt.environment(e), topic)
	if rt.app.DryRun {
		what = append(what, "\x00dry run"...) // in which nothing speaks for the app
	}
	sum := sha256.Sum256(what)
	return hex.EncodeToString(sum[:12])
}

// says is the sentence on what APNs has answered about a topic, and about the device if
// token is not nil.
func (rt *route) says(e Environment, topic string, token []byte, v upstream.Verdict) string {
	c := rt.way(e, topic).credential
	q := upstream.Question{Environment: rt.environment(e).String(), Topic: topic, Credential: c.Credential,
		Both: rt.app.Environment == ByListener, Scoped: c.Topics != nil}
	return q.Says(v, token)
}

// retire lets the connections end when they have done their work.
func (rt *route) retire() {
	for _, ways := range rt.ways {
		for _, w := range ways {
			w.Retire()
		}
	}
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

// reroute gives a the configuration conf. b.mu is held; when it is free, then tells
// the lanes.
func (b *Bridge) reroute(a *app, conf App) (then func()) {
	old := a.route.Load()
	switch {
	case old == nil:
		a.route.Store(b.newRoute(a, conf))
	case a.configured && old.app.same(conf):
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
		for _, l := range a.lanes {
			l.reconfigure(old, a.route.Load(), start)
		}
	}
}

// lanesFor gives the lanes that what arrives is to enter. An app that goes to another
// environment than before stays in the lane in which something waits: so each device
// keeps its order.
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
	for _, line := range l.app.bridge.lines() {
		if line.App == l.app.name && line.Environment == l.environment.String() {
			return true
		}
	}
	return false
}

// reconfigure tells the lane of another configuration. start says that the app has
// had none.
func (l *appLane) reconfigure(old, now *route, start bool) {
	l.during(func(at lane.Now) {
		for _, n := range l.core.Lines() {
			l.configure(n)
		}
		switch {
		case old == nil:
		case !old.app.same(now.app):
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
	})
}

// takeUp makes the lines of what waits on disk. l.mu is held.
func (l *appLane) takeUp() {
	b := l.app.bridge
	if b.spool == nil {
		return
	}
	for _, line := range b.lines() {
		if line.App == l.app.name && line.Environment == l.environment.String() {
			l.line(line.Topic)
		}
	}
}

// takeOut ends the way of an app that is not configured any more. What it has taken
// waits on disk, if there is one; else it goes on. b.mu is held; when it is free, then
// tells the lanes.
func (b *Bridge) takeOut(a *app) (then func()) {
	a.configured = false
	if b.spool == nil {
		return func() {}
	}
	return func() {
		for _, l := range a.lanes {
			l.during(l.core.Stop)
		}
		a.route.Load().retire()
	}
}

func (b *Bridge) newRoute(a *app, conf App) *route {
	rt := &route{app: conf, lanes: a.lanesFor(conf)}
	for _, env := range conf.environments() {
		for i, c := range conf.Credentials {
			if !c.serves(env) {
				continue
			}
			w := &way{credential: c, index: i}
			rt.ways[env] = append(rt.ways[env], w)
			if conf.DryRun {
				w.carrier = &upstream.DryRun{Begin: begin, Answered: answered}
				continue
			}
			u := upstream.Open(b.ctx, upstream.Config{
				App: conf.Name, Endpoint: conf.endpoint(env), Credential: c.Credential,
				Limits: b.limits.upstream(), Log: b.log, Now: b.now, Begin: begin, Answered: answered,
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
