package bridge

import (
	"cmp"
	"slices"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/badtokens"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
	"apnsbridge/bridge/upstream"
)

// begin and answered are called by an upstream before and after each attempt at p, fetch
// before either for all that are begun or answered together.
func fetch(p *upstream.Push)                     { p.Owner.(*notification).Item.Fetch() }
func begin(p *upstream.Push, now time.Time) bool { return p.Owner.(*notification).begin(now) }

func answered(p *upstream.Push, v upstream.Verdict, now time.Time) {
	p.Owner.(*notification).answered(v, now)
}

// begin reports whether an attempt is to be made, and notes that it begins. If not, n has
// gone back to its lane or has ended, and the upstream must not touch it.
func (n *notification) begin(begun time.Time) bool {
	l := n.lane
	a, now := l.app, l.app.bridge.clock.At(begun)
	if moved := n.route != a.route.Load(); moved || l.troubled.Load() {
		at := l.lock()
		admitted := !moved && l.core.Admit(&n.Item, at)
		if moved { // the route has changed since n was sent: it goes the new way
			l.core.Recall(&n.Item, at)
		}
		if l.unlock(); !admitted {
			return false
		}
	}
	if n.Expires != 0 && n.Expires <= now.Wall {
		l.during(func(at lane.Now) { l.core.Spare(&n.Item, at) })
		l.end(Expired, "")
		l.note(n, trace.Ended, "%s", lane.Expired)
		l.finish(n, conversation.Expired)
		return false
	}
	if refused, why, ok := a.badTokens.Listed(l.device(n), now.Time); ok {
		l.during(func(at lane.Now) { l.core.Spare(&n.Item, at) })
		n.Sent = refused
		l.end(Listed, "")
		l.note(n, trace.Ended, "APNs is not asked: it has refused the token lately")
		n.session.witnessed(Witness.Judged)
		l.refuse(n, binproto.InvalidToken, why)
		return false
	}
	n.Attempts++
	n.Sent = now.Time
	if l.watching(n) {
		l.noteSent(n)
	}
	return true
}

// dated is t to the millisecond, as the store keeps it. It keeps the monotonic reading,
// which Truncate and UTC would strip: a bad token stays listed for as long as it should
// even if the wall clock is set back.
func dated(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Nanosecond()) % time.Millisecond)
}

// device names the device of n to APNs.
func (l *appLane) device(n *notification) badtokens.Device {
	environment := n.route.app.EnvironmentOf(l.environment)
	return badtokens.Device{Environment: uint8(environment), Topic: n.Request.Topic, Token: n.Token()}
}

// classes are the lane's classes for those of upstreams.
var classes = [...]lane.Class{
	upstream.Accepted:          lane.Accepted,
	upstream.Refused:           lane.Malformed,
	upstream.BadToken:          lane.BadToken,
	upstream.Gone:              lane.Gone,
	upstream.BadPriority:       lane.Amended,
	upstream.BadPushType:       lane.Amended,
	upstream.BadExpiration:     lane.Amended,
	upstream.CredentialRefused: lane.CredentialRefused,
	upstream.TokenUpdates:      lane.CredentialRefused,
	upstream.TopicRefused:      lane.TopicRefused,
	upstream.StaleToken:        lane.Renewed,
	upstream.Throttled:         lane.Throttled,
	upstream.ServerError:       lane.Failed,
	upstream.NoConnection:      lane.NoConnection,
	upstream.Unprocessed:       lane.Unlooked,
	upstream.NoAnswer:          lane.NoAnswer,
	upstream.Unknown:           lane.Strange,
}

// answered takes the verdict on an attempt, which came at came, and does what follows from it.
func (n *notification) answered(v upstream.Verdict, came time.Time) {
	l := n.lane
	a, class, way := l.app, classes[v.Class], n.route.way(l.environment, n.Request.Topic)
	dry := n.route.app.DryRun      // then APNs has not been asked
	ended := a.bridge.ended.Load() // then a missing answer says nothing
	listed := v.Class == upstream.Accepted && !dry && a.bridge.feedback.Listed(a.name, n.Token())
	if v.Class == upstream.Unknown && a.route.Load().app.Strict {
		class = lane.Malformed
	}
	l.heard(n, v, dry)
	renew, about, watching := n.Bearer, n.judged(v), l.watching(n)
	at := scope(about.route.app.EnvironmentOf(l.environment), n.Line.Name)
	served := &n.Line.Disk().(*lineDisk).served
	session := n.session // n may be gone once the lane's lock is released

	now := a.bridge.clock.At(came)
	l.mu.Lock()
	now = l.core.Ordered(now)
	forItself := l.core.ForItself(&n.Item, class)
	class = way.class(n.amend(v, class))
	if v.OfConnection && (class == lane.CredentialRefused || class == lane.TopicRefused) {
		l.refused(n.Line, way, class, now)
		class = lane.Unlooked
	}
	n.outcome = conversation.Accepted
	done := v.Class == upstream.Accepted && !listed
	fate, gone := l.core.Answered(&n.Item, class, done, now)
	if !dry {
		l.observe(n, v, fate == lane.Over, now.Time)
	}
	if watching && fate == lane.Waits {
		l.noteWait(n, now)
	}
	ofLine := class == lane.Failed && l.core.Door.Reason == lane.Open // others may be served
	decided := l.release()
	if class == lane.Renewed {
		a.route.Load().way(l.environment, about.topic).Renew(renew)
	}
	if !ended && !dry && !forItself && v.Class != upstream.Unprocessed { // such a one goes again at once
		a.health.Note(at, health.Came{When: now.Mono, Line: served}, way.only && !ofLine, v, about.says)
	}
	if fate == lane.Over && !dry {
		session.witnessed(Witness.Judged)
	}
	switch {
	case gone:
		n.leave(conversation.Accepted, now.Time)
	case fate == lane.Waits:
		l.counters.retried.Add(1)
		if v.Class != upstream.NoAnswer {
			break
		}
		l.counters.ambiguous.Add(1)
		if l.troubled.Load() && !ended { // one lost connection is no problem
			a.health.Say(health.Scope{Environment: at.Environment}, "APNs does not answer")
		}
	case fate == lane.GivenUp:
		l.drop(n, v)
	case !done:
		l.judged(n, v)
	}
	l.perform(decided)
}

// heard counts a verdict on n, and notes what it says of the token. dry says that APNs has not been asked.
func (l *appLane) heard(n *notification, v upstream.Verdict, dry bool) {
	if dry {
		l.end(DryRun, "")
		return
	}
	switch v.Class {
	case upstream.Accepted:
		l.counters.accepted.Add(1)
		l.app.badTokens.Accepted(l.device(n))
	case upstream.BadToken, upstream.Refused:
		l.app.refusal.note(n.subject(), v)
	}
	if l.watching(n) {
		l.note(n, trace.Answered, "%s", v.Told(l.app.bridge.now().Sub(n.Sent).Round(10*time.Microsecond)))
	}
}

// troubled takes what APNs says of a connection, and not of one notification. The connection
// is one of w, a way of rt to the environment env.
func (a *app) troubled(rt *route, env Environment, w *way, v upstream.Verdict) {
	came := health.Came{When: a.bridge.clock.Now().Mono}
	note := func(at health.Scope, topic string) {
		a.health.Note(at, came, w.only, v, subject{route: rt, environment: env, topic: topic}.says)
	}
	if w.only {
		note(scope(env, ""), rt.app.Topic)
	}
	for _, l := range a.lanes {
		now := a.route.Load()
		if !slices.Contains(now.ways[env], w) || rt.app.EnvironmentOf(l.environment) != env {
			continue
		}
		class := w.class(classes[v.Class])
		var own []string
		l.during(func(at lane.Now) {
			line := !w.only && (class == lane.TopicRefused || class == lane.Renewed)
			if !line {
				l.core.Trouble(class, at)
			}
			for _, n := range l.core.Lines() {
				if w.only || now.way(env, now.topic(n)) != w {
					continue
				}
				if own = append(own, n.Name); line {
					l.core.LineTrouble(n, at)
				}
			}
		})
		for _, name := range own {
			note(scope(env, name), cmp.Or(name, rt.app.Topic))
		}
	}
}

// refused closes the door that stands for what APNs has said of a connection of w, before the
// notifications that were refused with it come back. While the door is closed, such answers
// are taken by troubled. The caller holds l.mu.
func (l *appLane) refused(n *lane.Line, w *way, c lane.Class, now lane.Now) {
	switch {
	case l.core.Door.Reason != lane.Open || !w.only && n.Door.Reason != lane.Open:
	case w.only:
		l.core.Trouble(c, now)
	default:
		l.core.LineTrouble(n, now)
	}
}

// drop gives up n, about which APNs was asked often enough.
func (l *appLane) drop(n *notification, v upstream.Verdict) {
	l.end(Dropped, v.Why())
	l.note(n, trace.Ended, "given up after %d attempts", n.Flags.Attempts)
	l.app.health.Say(l.scope(n.Line), "APNs does not take a notification, and it is given up: "+
		n.subject().says(v))
	l.app.bridge.log.Warn().Str("app", l.app.name).Str("apns_id", n.Request.ID.String()).Int("code", v.Code).
		Str("reason", v.Reason).Int("attempts", int(n.Flags.Attempts)).Msg("given up")
	l.finish(n, conversation.Dropped)
}

// judged turns a final verdict into what the provider and the feedback list have to know.
// n has left its chain.
func (l *appLane) judged(n *notification, v upstream.Verdict) {
	a := l.app
	switch v.Class {
	case upstream.Accepted:
		l.feed(n, feedback.Entry{At: dated(n.Sent), Alive: true}, conversation.Accepted) // takes it off the list
	case upstream.BadToken:
		l.end(BadToken, v.Why())
		a.badTokens.Refused(l.device(n), dated(n.Sent), v.Reason)
		l.refuse(n, v.Status, v.Reason)
	case upstream.Gone:
		l.end(Unregistered, v.Why())
		l.note(n, trace.Listed, "its device goes on the feedback list")
		l.feed(n, feedback.Entry{At: v.GoneAt(dated(n.Sent), a.bridge.now())}, conversation.Gone)
	case upstream.Refused:
		l.end(Refused, v.Why())
		l.refuse(n, v.Status, v.Reason)
	case upstream.Unknown:
		l.end(Unknown, v.Why())
		l.refuse(n, binproto.Unknown, v.Reason)
	default: // it was amended, which did not help
		l.drop(n, v)
	}
}

// refuse ends n with the status that its provider is to be told, and APNs' reason. If there
// is no provider to tell, a bad token goes to the feedback list.
func (l *appLane) refuse(n *notification, status binproto.Status, why string) {
	l.app.bridge.exhume(n)
	l.failed(n, status, why)
	if status == binproto.InvalidToken {
		n.session.witnessed(Witness.BadToken)
	}
	l.note(n, trace.Ended, "refused with status %d, %s", status, status)
	told := n.session != nil && n.session.refused(n, status, why)
	if !told {
		l.note(n, trace.Listed, "there is no provider to tell: a bad token goes on the feedback list")
	}
	if !told && status == binproto.InvalidToken {
		l.feed(n, feedback.Entry{At: dated(n.Sent), Doubt: true}, conversation.Dropped)
		return
	}
	l.finish(n, conversation.Dropped)
}

// witnessed tells the peer of s about a verdict, if it is a Witness. s is nil for a notification
// that no longer belongs to a session.
func (s *Session) witnessed(what func(Witness)) {
	if s == nil {
		return
	}
	if witness, ok := s.peer.(Witness); ok {
		what(witness)
	}
}
