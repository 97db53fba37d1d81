package bridge

import (
	"cmp"
	"slices"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/badtokens"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
	"apnsbridge/bridge/upstream"
)

// begin and answered are what an upstream calls before and after each attempt at p.
func begin(p *upstream.Push) bool                   { return p.Owner.(*notification).begin() }
func answered(p *upstream.Push, v upstream.Verdict) { p.Owner.(*notification).answered(v) }

// begin reports whether an attempt is to be made, and notes that it begins. If
// not, n is its lane's again, or through, and the upstream must not touch it.
func (n *notification) begin() bool {
	l := n.lane
	a, now := l.app, l.app.bridge.clock.Now()
	if moved := n.route != a.route.Load(); moved || l.troubled.Load() {
		at := l.lock()
		admitted := !moved && l.core.Admit(&n.Item, at)
		if moved { // the route has changed since it was sent: it goes the new way
			l.core.Recall(&n.Item, at)
		}
		if l.unlock(); !admitted {
			return false
		}
	}
	if n.Expires != 0 && n.Expires <= now.Wall {
		l.during(func(at lane.Now) { l.core.Spare(&n.Item, at) })
		l.end(Expired, "")
		if l.watching(n) {
			l.note(n, trace.Ended, "%s", lane.Expired)
		}
		l.finish(n, conversation.Expired)
		return false
	}
	if refused, why, ok := a.badTokens.Listed(l.device(n), now.Time); ok {
		l.during(func(at lane.Now) { l.core.Spare(&n.Item, at) })
		n.Sent = refused
		l.end(Listed, "")
		if l.watching(n) {
			l.note(n, trace.Ended, "APNs is not asked: it has refused the token lately")
		}
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

// dated is t to the millisecond, as the store keeps it. It has the monotonic reading,
// which Truncate and UTC would take away: a bad token is listed for its time though
// the wall is set back.
func dated(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Nanosecond()) % time.Millisecond)
}

// device names the device of n to APNs.
func (l *appLane) device(n *notification) badtokens.Device {
	return badtokens.Device{Environment: uint8(n.route.app.EnvironmentOf(l.environment)), Topic: n.Request.Topic, Token: n.Token()}
}

// classes are what lanes make of upstreams' classes.
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

// answered takes the verdict on an attempt and sees to what follows it.
func (n *notification) answered(v upstream.Verdict) {
	l := n.lane
	a, class, way := l.app, classes[v.Class], n.route.way(l.environment, n.Request.Topic)
	dry := n.route.app.DryRun      // then APNs has not been asked
	ended := a.bridge.ended.Load() // then an answer that did not come says nothing
	listed := v.Class == upstream.Accepted && !dry && a.bridge.feedback.Listed(a.name, n.Token())
	switch {
	case dry:
		l.end(DryRun, "")
	case v.Class == upstream.Accepted:
		l.counters.accepted.Add(1)
		a.badTokens.Accepted(l.device(n))
	}
	if v.Class == upstream.BadToken || v.Class == upstream.Refused {
		a.refusal.note(n.subject(), v)
	}
	if v.Class == upstream.Unknown && a.route.Load().app.Strict {
		class = lane.Malformed
	}
	renew, about, watching := n.Bearer, n.judged(v), l.watching(n)
	at := scope(about.route.app.EnvironmentOf(l.environment), n.Line.Name)
	if watching && !dry {
		l.noteAnswer(n, v)
	}

	now := l.lock()
	forItself := l.core.ForItself(&n.Item, class)
	switch class {
	case lane.Amended:
		if n.Flags.Amended {
			class = lane.Malformed
		} else {
			n.Flags.Amended = true
			n.Request.Amend(v.Class)
		}
	case lane.Renewed:
		if n.Flags.Renewed {
			class = lane.CredentialRefused // another JWT was no better
		}
		n.Flags.Renewed = true
	}
	class = way.class(class)
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
	if !ended && !dry && !forItself && v.Class != upstream.Unprocessed { // which goes again, and at once
		a.health.Note(at, way.only && !ofLine, v, about.says)
	}
	switch {
	case gone:
		n.leave(conversation.Accepted, now.Time)
	case fate == lane.Waits:
		if v.Class == upstream.NoAnswer && l.troubled.Load() && !ended { // one lost connection is no problem
			a.health.Say(health.Scope{Environment: at.Environment}, "APNs does not answer")
		}
		l.counters.retried.Add(1)
		if v.Class == upstream.NoAnswer {
			l.counters.ambiguous.Add(1)
		}
	case fate == lane.GivenUp:
		l.drop(n, v)
	case !done:
		l.judged(n, v)
	}
	l.perform(decided)
}

// troubled takes what APNs says of a connection of the way w of rt to an environment,
// and not of one notification.
func (a *app) troubled(rt *route, env Environment, w *way, v upstream.Verdict) {
	note := func(at health.Scope, topic string) {
		a.health.Note(at, w.only, v, subject{route: rt, environment: env, topic: topic}.says)
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

// refused closes the door that is for what APNs has said of a connection of w, before
// those that it hit come to it. What is said while it is closed comes by troubled.
// l.mu is held.
func (l *appLane) refused(n *lane.Line, w *way, c lane.Class, now lane.Now) {
	switch {
	case l.core.Door.Reason != lane.Open || !w.only && n.Door.Reason != lane.Open:
	case w.only:
		l.core.Trouble(c, now)
	default:
		l.core.LineTrouble(n, now)
	}
}

// drop ends the way of n, about which APNs was asked often enough.
func (l *appLane) drop(n *notification, v upstream.Verdict) {
	l.end(Dropped, reason(v))
	if l.watching(n) {
		l.note(n, trace.Ended, "given up after %d attempts", n.Flags.Attempts)
	}
	l.app.health.Say(l.scope(n.Line), "APNs does not take a notification, and it is given up: "+
		n.subject().says(v))
	l.app.bridge.log.Warn().Str("app", l.app.name).Str("apns_id", n.Request.ID.String()).Int("code", v.Code).
		Str("reason", v.Reason).Int("attempts", int(n.Flags.Attempts)).Msg("given up")
	l.finish(n, conversation.Dropped)
}

// judged makes of a final verdict what the provider and the feedback list are to
// know. n has left its chain.
func (l *appLane) judged(n *notification, v upstream.Verdict) {
	a := l.app
	switch v.Class {
	case upstream.Accepted:
		l.feedAlive(n)
	case upstream.BadToken:
		l.end(BadToken, reason(v))
		a.badTokens.Refused(l.device(n), dated(n.Sent), v.Reason)
		l.refuse(n, v.Status, v.Reason)
	case upstream.Gone:
		l.end(Unregistered, reason(v))
		if l.watching(n) {
			l.note(n, trace.Listed, "its device goes on the feedback list")
		}
		l.feedDead(n, v.GoneAt(dated(n.Sent), a.bridge.now()))
	case upstream.Refused:
		l.end(Refused, reason(v))
		l.refuse(n, v.Status, v.Reason)
	case upstream.Unknown:
		l.end(Unknown, reason(v))
		l.refuse(n, binproto.Unknown, v.Reason)
	default: // it was amended, and that was no better
		l.drop(n, v)
	}
}

// refuse ends the way of n with the status its provider is to know, and APNs' word. If
// there is no one to tell, a bad token goes to the feedback list.
func (l *appLane) refuse(n *notification, status binproto.Status, why string) {
	l.app.bridge.exhume(n)
	l.failed(n, status, why)
	if n.session != nil && status == binproto.InvalidToken {
		if witness, ok := n.session.peer.(Witness); ok {
			witness.BadToken()
		}
	}
	watching := l.watching(n)
	if watching {
		l.note(n, trace.Ended, "refused with status %d, %s", status, status)
	}
	told := n.session != nil && n.session.refused(n, status, why)
	if watching && !told {
		l.note(n, trace.Listed, "there is no provider to tell: a bad token goes on the feedback list")
	}
	if !told && status == binproto.InvalidToken {
		l.feedBad(n)
		return
	}
	l.finish(n, conversation.Dropped)
}
