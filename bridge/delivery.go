package bridge

import (
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/upstream"
)

// deliver takes a notification that has its place in the window. If it is to be
// on disk first it is forwarded when it is.
func (a *app) deliver(r *record) {
	if !a.shelf.commits(r) {
		a.forward(r)
	}
}

// forward puts r behind all others for its device, those that wait on disk
// among them. One that is late already goes there itself.
func (a *app) forward(r *record) {
	shelved := a.shelf.shelved(r)
	r.late = r.late || a.shelf.busy(r)
	switch a.chains.enter(r) {
	case first:
		// One that left the chain just before may have been read again meanwhile,
		// and now stand behind r.
		r.late = r.late || a.shelf.shelved(r) != shelved
		a.send(r)
	case resting:
		a.shelf.takeOne(r) // there is no telling how long that would be
	}
}

// send hands r, the first of its device, to APNs, unless it has to wait.
func (a *app) send(r *record) {
	switch {
	case a.bridge.ended.Load():
		a.abandon(r)
	case !a.waits(r):
		a.wake(r)
		a.upstream(r).Send(&r.Push)
	}
}

// waits says whether r, the first of its device, has to wait: for those that were
// on disk when it came, or until APNs serves. If so somebody else has it now.
func (a *app) waits(r *record) bool {
	if !a.shelves(r) {
		if gate := a.gate(r); gate.open() && !r.admitted {
			a.rest(r)
			if gate.keeps(r) {
				return true
			}
			a.wake(r)
		}
		return false
	}
	if r.late || a.gate(r).open() || a.hold.on.Load() {
		a.shelve(r)
		return true
	}
	return false
}

// gate is where r waits while APNs does not serve.
func (a *app) gate(r *record) *gate {
	return &a.gates[a.route.Load().environment(r.environment)]
}

// upstream is what carries r.
func (a *app) upstream(r *record) carrier {
	route := a.route.Load()
	return route.upstreams[route.environment(r.environment)]
}

// spares APNs an attempt at r: it has expired, is held, or has its answer already.
func (a *app) spares(r *record, now time.Time) bool {
	if !due(r.expires, now) {
		a.expired(r)
		return true
	}
	if !a.shelves(r) && a.hold.on.Load() {
		a.rest(r)
		if a.hold.keeps(r) {
			return true
		}
		a.wake(r)
	}
	refused, ok := a.badTokens.listed(a.device(r), now)
	if ok {
		r.Sent = refused
		a.refuse(r, binproto.InvalidToken)
	}
	return ok
}

// device names the device of r to APNs.
func (a *app) device(r *record) device {
	return device{a.route.Load().environment(r.environment), r.Request.Topic, r.Token()}
}

// answered takes the verdict on an attempt and sees to what follows it.
func (a *app) answered(r *record, v upstream.Verdict) {
	d := r.plan.next(v.Class, &a.bridge.backoff)
	if a.bridge.ended.Load() && d.do != settle {
		a.abandon(r)
		return
	}
	if v.Class == upstream.StaleToken && d.do == retry {
		v.Class = upstream.CredentialRefused // another JWT was no better
	}
	a.health.note(v, a.bridge.log)
	gate := a.gate(r)
	if v.Class != upstream.Unprocessed {
		r.admitted = false
	}
	if impedes(v.Class) && d.do == retry {
		a.counters.retried.Add(1)
		if v.Class == upstream.NoAnswer {
			a.counters.ambiguous.Add(1)
		}
		a.impeded(r, gate, v.Class, d.after)
		return
	}
	for _, next := range gate.answered(v.Class, r.Sent, a.bridge.now) {
		a.send(next)
	}
	switch d.do {
	case settle:
		a.settle(r, v)
		return
	case drop:
		a.counters.dropped.Add(1)
		a.bridge.log.Warn().Str("app", a.name).Str("apns_id", r.Request.ID.String()).Int("code", v.Code).
			Str("reason", v.Reason).Int("attempts", r.Attempts).Msg("given up")
		a.through(r, conversation.Dropped)
		return
	case amendRetry:
		amend(&r.Request, v.Class)
	case renewRetry:
		a.upstream(r).Renew(r.Bearer)
	}
	a.counters.retried.Add(1)
	if d.after > 0 {
		a.pause(r, d.after)
		return
	}
	a.send(r)
}

// impeded lets r wait, whose attempt has failed as those of others would.
func (a *app) impeded(r *record, gate *gate, c upstream.Class, after time.Duration) {
	shelves := a.shelves(r)
	switch {
	case a.shelf == nil && !ours(c):
		r.release()
	case !shelves:
		a.rest(r)
	}
	closed := gate.failed(r, c, a.bridge.now(), !shelves)
	if closed && c == upstream.NoAnswer { // one lost connection is no problem
		a.health.set("APNs does not answer", a.bridge.log)
	}
	switch {
	case closed && shelves:
		a.shelve(r)
	case !closed && a.shelf == nil && ours(c):
		a.bridge.waiting.add(r, time.Now().Add(after)) // it keeps its place
	case !closed:
		a.pause(r, after)
	}
}

// pause lets r wait for its next attempt. Its provider hears no more of it: what
// stands behind it shall not wait for one device, nor for chance.
func (a *app) pause(r *record, after time.Duration) {
	switch {
	case a.shelf == nil:
		r.release()
	case a.shelf.spool.closed.Load():
		a.shelve(r)
		return
	default:
		a.rest(r)
	}
	a.bridge.waiting.add(r, time.Now().Add(after))
}

// rest says that r, the first of its device, is about to wait, nobody knows how
// long. With a spool it is stored, and those behind it leave memory.
func (a *app) rest(r *record) {
	if a.shelf == nil || r.rested {
		return
	}
	r.rested = true
	a.shelf.take(func() *record {
		a.shelf.put(r, toKeep) // before those behind it
		return a.chains.rest(r)
	})
}

// wake says that r rests no more.
func (a *app) wake(r *record) {
	if r.rested {
		r.rested = false
		a.chains.wake(r)
	}
}

// abandon ends the way of r with the bridge. With a spool it goes on after a
// restart.
func (a *app) abandon(r *record) {
	if a.shelf != nil {
		a.shelve(r)
		return
	}
	for r = a.chains.leaveAll(r); r != nil; r = r.behind {
		a.counters.abandoned.Add(1)
	}
}

// settle makes of a final verdict what the provider and the feedback list are to
// know.
func (a *app) settle(r *record, v upstream.Verdict) {
	switch v.Class {
	case upstream.Accepted:
		a.counters.accepted.Add(1)
		a.vouchedFor(r)
		next := a.chains.leave(r)
		if !a.bridge.feedback.alive(r) {
			a.ended(r, conversation.Accepted)
		}
		a.follow(next)
	case upstream.Refused:
		a.counters.refused.Add(1)
		a.refuse(r, v.Status)
	case upstream.BadToken:
		a.counters.badTokens.Add(1)
		if !a.doubts(r) {
			a.badTokens.refused(a.device(r), r.Sent)
			a.refuse(r, v.Status)
		}
	case upstream.Gone:
		a.counters.unregistered.Add(1)
		next := a.chains.leave(r)
		a.bridge.feedback.dead(r, v.GoneAt(r.Sent, a.bridge.now()))
		a.follow(next)
	case upstream.Unknown:
		a.counters.unknown.Add(1)
		if a.route.Load().app.Strict {
			a.refuse(r, binproto.Unknown)
			return
		}
		a.through(r, conversation.Dropped)
	}
}

// through ends the way of r, which was not refused. Nobody touches r afterwards.
func (a *app) through(r *record, o conversation.Outcome) {
	next := a.chains.leave(r)
	a.ended(r, o)
	a.follow(next)
}

// refuse ends the way of r with the status its provider is to know. If there is
// nobody to tell, a bad token goes to the feedback list. Nobody touches r
// afterwards.
func (a *app) refuse(r *record, status binproto.Status) {
	next := a.chains.leave(r)
	told := r.session != nil && r.session.refused(r, status)
	if !told && status == binproto.InvalidToken {
		a.bridge.feedback.refused(r)
	} else {
		a.ended(r, conversation.Dropped)
	}
	a.follow(next)
}

// ended says that the delivery of r has ended so. Nobody touches r afterwards.
func (a *app) ended(r *record, o conversation.Outcome) {
	if a.shelf.ended(r, o) {
		r.leave(o)
	}
}

// expired ends the way of r, whose time was over before APNs took it. Nobody
// touches r afterwards.
func (a *app) expired(r *record) {
	a.counters.expired.Add(1)
	a.through(r, conversation.Expired)
}

// follow sends the next notification for a device.
func (a *app) follow(next *record) {
	if next != nil {
		a.send(next)
	}
}
