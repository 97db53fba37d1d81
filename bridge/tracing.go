package bridge

import (
	"fmt"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
)

// Trace traces the notifications of an app to tokens that begin with prefix, in hex, for the
// given time; "" is all of them, and a time of 0 ends the trace. With payloads their texts
// are kept too. It gives what is now traced of the app.
func (b *Bridge) Trace(name, prefix string, payloads bool, during time.Duration) ([]trace.Subject, error) {
	a, err := b.configured(name)
	if err != nil {
		return nil, err
	}
	return a.watched.Trace(prefix, payloads, during, b.now())
}

// Traced gives what is traced of an app now, and what the trace has recorded.
func (b *Bridge) Traced(q trace.Question) ([]trace.Subject, []trace.Note, error) {
	a, err := b.configured(q.App)
	if err != nil {
		return nil, nil, err
	}
	if q.Prefix, err = trace.ParsePrefix(q.Prefix); err != nil {
		return nil, nil, err
	}
	a.watched.Tick(b.now())
	return a.watched.Load().Subjects(), b.traces.Ask(q), nil
}

// watching reports whether n is traced. While nothing is, it costs one atomic load.
func (l *appLane) watching(n *notification) bool {
	w := l.app.watched.Load()
	return w != nil && w.Wants(n.Token())
}

// note adds a step to the trace of n, if it is traced. Of a notification that was taken
// before the trace was switched on, only the request is known.
func (l *appLane) note(n *notification, what trace.What, format string, args ...any) {
	if !l.watching(n) {
		return
	}
	b := l.app.bridge
	if id := trace.ID(n.Request.ID); !b.traces.Knows(id) {
		b.traces.Begin(id, l.describe(n))
	}
	b.traces.Add(trace.ID(n.Request.ID), trace.Step{At: b.now(), What: what, Detail: fmt.Sprintf(format, args...)})
}

// describe gives what is known of n from its request.
func (l *appLane) describe(n *notification) trace.Note {
	q, route := &n.Request, l.app.route.Load()
	env, topic := route.app.EnvironmentOf(l.environment), route.topic(n.Line)
	note := trace.Note{
		APNsID: q.ID.String(), App: l.app.name, Environment: env.String(), Topic: topic,
		PushType: q.PushType, Priority: q.Priority, Expiration: q.Expiration, Size: len(n.Payload()),
		Endpoint: route.app.EndpointFor(env).URL, Credential: route.way(l.environment, topic).credential.Describe().Kind,
		OwnCA: route.app.EndpointFor(env).CA != nil,
	}
	if w := l.app.watched.Load(); w != nil {
		note.Token, note.Payload = w.Describe(n.Token(), n.Payload())
	}
	return note
}

// noteTaken begins the trace of n, which the provider has sent as frame.
func (s *Session) noteTaken(n *notification, frame *binproto.Notification, forward bool) {
	l := s.lane
	note := l.describe(n)
	note.Client, note.Address, note.Session = shortClient(s.origin.Client), s.origin.Address.String(), s.number
	if frame.HasIdentifier {
		identifier := frame.Identifier
		note.Identifier = &identifier
	}
	s.bridge.traces.Begin(trace.ID(n.Request.ID), note)
	kind := map[binproto.Command]string{
		binproto.Simple: "simple", binproto.Enhanced: "enhanced", binproto.Framed: "framed",
	}[frame.Command]
	l.note(n, trace.Taken, "%s, with %d bytes of payload", kind, len(n.Payload()))
	if !forward {
		l.note(n, trace.Swallowed, "it was sent before, or comes again behind an error packet: it is delivered once")
	}
}

// shortClient is a client's name as it appears in logs: the first 16 digits of a fingerprint.
func shortClient(id string) string {
	if len(id) == 64 {
		return id[:16]
	}
	return id
}

// noteTold adds an error packet to the trace of the notification that it names.
func (a *app) noteTold(s *Session, d conversation.Decision) {
	if a.watched.Load() != nil {
		a.bridge.traces.AddNamed(s.number, d.Identifier, trace.Step{At: a.bridge.now(), What: trace.Told,
			Detail: fmt.Sprintf("an error packet with status %d, %s", d.Status, d.Status)})
	}
}

// noteWait adds why n waits, if it does. The caller holds l.mu.
func (l *appLane) noteWait(n *notification, now lane.Now) {
	if why := l.core.Why(&n.Item, now); why != "" {
		l.note(n, trace.Waits, "%s", why)
	}
}

// noteSent adds an attempt.
func (l *appLane) noteSent(n *notification) {
	if n.route.app.DryRun {
		l.note(n, trace.Ended, "APNs is not asked: it is the app's dry run")
		return
	}
	l.note(n, trace.Sent, "attempt %d", n.Flags.Attempts)
}
