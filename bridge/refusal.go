package bridge

import (
	"bytes"
	"cmp"
	"fmt"
	"sync"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/upstream"
)

// question is what APNs was asked about, for the sentence on its answer.
type question struct {
	route       *route
	environment Environment // of the lane
	topic       string
	token       []byte // borrowed; nil: no device
}

// about is what APNs is asked about with n.
func (n *notification) about() question {
	return question{n.route, n.lane.environment, n.Request.Topic, n.Token()}
}

func (q question) says(v upstream.Verdict) string {
	return q.route.says(q.environment, q.topic, q.token, v)
}

// subject is a question without its token, of which it has the beginning: it outlives
// its notification, and is passed by value on the way of every verdict.
type subject struct {
	route       *route
	environment Environment
	topic       string
	device      conversation.Device
	named       bool // the question was about a device
}

// subject is what n is about.
func (n *notification) subject() (s subject) {
	s = subject{route: n.route, environment: n.lane.environment, topic: n.Request.Topic, named: true}
	copy(s.device[:], n.Token())
	return s
}

func (s subject) says(v upstream.Verdict) string {
	var token []byte
	if s.named {
		token = s.device[:]
	}
	return s.route.says(s.environment, s.topic, token, v)
}

// lastRefusal is the latest bad token of an app, for its operator.
type lastRefusal struct {
	mu  sync.Mutex
	ask question // its token is the latest's own copy
	v   upstream.Verdict
}

// note takes APNs' verdict on what was asked.
func (r *lastRefusal) note(q question, v upstream.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := append(r.ask.token[:0], q.token...)
	r.ask, r.v = q, v
	r.ask.token = own
}

// sentence says of it what APNs has, empty if there is none.
func (r *lastRefusal) sentence() string {
	r.mu.Lock()
	q, v := r.ask, r.v
	q.token = bytes.Clone(q.token)
	r.mu.Unlock()
	if q.route == nil {
		return ""
	}
	return q.says(v)
}

// Refusals say of each app whose notifications APNs has refused since the start
// what it has answered last, in a sentence.
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

// ourReasons are why the gateway refuses frames without asking APNs.
var ourReasons = map[binproto.Status]string{
	binproto.MissingDeviceToken: "the frame has no device token: have the provider leave such out",
	binproto.MissingPayload:     "the frame has no payload: have the provider leave such out",
	binproto.InvalidTokenSize: "the frame's device token is shorter or longer than limits.token_bytes: have the " +
		"provider send a token's bytes, not its digits",
	binproto.InvalidPayloadSize: "the frame's payload is longer than limits.payload_bytes: have the provider " +
		"shorten it",
	binproto.ProcessingError: "the frame does not fit together: see how the provider builds it",
	binproto.Unknown:         "the frame does not fit together: see how the provider builds it",
}

// reasonOf says why a provider is told the status of f.
func (a *app) reasonOf(f *failure) string {
	switch why, ok := ourReasons[f.status]; {
	case f.why != "":
		rt := a.route.Load()
		return "APNs answers " + question{rt, f.environment, cmp.Or(f.topic, rt.app.Topic), f.device[:]}.says(upstream.Refusal(f.why))
	case f.status == binproto.InvalidToken:
		return fmt.Sprintf("APNs has refused device %x… before", f.device)
	case ok:
		return why
	}
	return f.status.Error()
}
