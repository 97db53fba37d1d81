package bridge

import (
	"cmp"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/failures"
	"apnsbridge/bridge/upstream"
)

// subject is what APNs was asked about, as the sentence about its answer needs it. It outlives
// its notification, and is passed by value along with every verdict.
type subject struct {
	route       *route
	environment Environment // of the lane
	topic       string
	device      conversation.Device // zero: none
}

// subject is what n is about.
func (n *notification) subject() (s subject) {
	s = subject{route: n.route, environment: n.lane.environment, topic: n.Request.Topic}
	copy(s.device[:], n.Token())
	return s
}

// judged is what v, a verdict on n, is about. An acceptance is never put into words, so its
// token, which has left the processor's caches by then, is not read.
func (n *notification) judged(v upstream.Verdict) subject {
	if v.Class != upstream.Accepted {
		return n.subject()
	}
	return subject{route: n.route, environment: n.lane.environment, topic: n.Request.Topic}
}

func (s subject) says(v upstream.Verdict) string {
	token := s.device[:]
	if s.device == (conversation.Device{}) {
		token = nil
	}
	app := &s.route.app
	return app.Says(app.EnvironmentOf(s.environment), s.topic, token, v)
}

// lastRefusal is the latest bad token of an app, for its operator.
type lastRefusal struct {
	mu    sync.Mutex
	about subject
	v     upstream.Verdict
}

// note keeps APNs' verdict.
func (r *lastRefusal) note(about subject, v upstream.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.about, r.v = about, v
}

// sentence says what APNs answered; empty if there is no such token.
func (r *lastRefusal) sentence() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.about.route == nil {
		return ""
	}
	return r.about.says(r.v)
}

// Refusals gives, for each app whose notifications APNs has refused since the start, a
// sentence about its latest answer.
func (b *Bridge) Refusals() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]string)
	for name, a := range b.apps {
		if says := a.refusal.sentence(); says != "" && a.configured {
			all[name] = says
		}
	}
	return all
}

// failure makes a failure on the connection of s.
func (s *Session) failure(status binproto.Status, identifier uint32, named bool, now time.Time) failures.Failure {
	o := &s.origin
	return failures.Failure{Time: now, Session: s.number, Client: shortClient(o.Client), Address: o.Address,
		Environment: o.Environment, Status: status, Identifier: identifier, Named: named}
}

// failed records that n was refused with the status that its provider is to be told.
func (l *appLane) failed(n *notification, status binproto.Status, why string) {
	f := failures.Failure{Time: l.app.bridge.now(), Status: status}
	if s := n.session; s != nil {
		f = s.failure(status, n.identifier, n.named, f.Time)
	}
	f.Environment, f.Topic, f.Word, f.Device = l.environment, n.Request.Topic, why, n.subject().device
	l.app.failures.Add(f)
}

// reasonOf says why the provider is told the status of f.
func (a *app) reasonOf(f *failures.Failure) string {
	if f.Word == "" {
		return f.Ours()
	}
	rt := a.route.Load()
	about := subject{rt, f.Environment, cmp.Or(f.Topic, rt.app.Topic), f.Device}
	return "APNs answers " + about.says(upstream.Refusal(f.Word))
}

// Failures gives the latest failures of an app, the latest first; none if there is no
// such app.
func (b *Bridge) Failures(name string) []failures.Failure {
	a, err := b.configured(name)
	if err != nil {
		return nil
	}
	all := a.failures.Latest()
	for i := range all {
		all[i].Reason = a.reasonOf(&all[i])
	}
	return all
}
