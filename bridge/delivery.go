package bridge

import (
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// deliver takes a notification that has its place in the window.
func (a *app) deliver(r *record) {
	if a.chains.enter(r) {
		a.send(r)
	}
}

// send hands r, the first of its device, to APNs, unless it has to wait until
// APNs serves.
func (a *app) send(r *record) {
	if !a.gate(r).keeps(r) {
		a.route.Load().upstream(r.session.origin).Send(r)
	}
}

// gate is where r waits while APNs does not serve.
func (a *app) gate(r *record) *gate {
	return &a.gates[a.route.Load().environment(r.session.origin)]
}

// spares APNs an attempt at r: it has expired, is held, or has its answer already.
func (a *app) spares(r *record, now time.Time) bool {
	if !due(r.expires, now) {
		a.expired(r)
		return true
	}
	if a.hold.keeps(r) {
		return true
	}
	refused, ok := a.badTokens.listed(a.device(r), now)
	if ok {
		r.sent = refused
		a.refuse(r, binproto.InvalidToken)
	}
	return ok
}

// device names the device of r to APNs.
func (a *app) device(r *record) device {
	return device{a.route.Load().environment(r.session.origin), r.request.topic, r.Token()}
}

// answered takes the verdict on an attempt and sees to what follows it.
func (a *app) answered(r *record, v verdict) {
	if a.bridge.ctx.Err() != nil {
		a.counters.abandoned.Add(1)
		return
	}
	d := r.plan.next(v.class, &a.bridge.backoff)
	if v.class == staleToken && d.do == retry {
		v.class = held // another JWT was no better
	}
	a.health.note(v, a.bridge.log)
	gate := a.gate(r)
	if v.class != unsent {
		r.admitted = false
	}
	if impedes(v.class) {
		a.counters.retried.Add(1)
		if !gate.failed(r, v.class, a.bridge.now()) {
			a.bridge.waiting.add(r, time.Now().Add(d.after))
		}
		return
	}
	for _, next := range gate.answered(v.class, r.sent, a.bridge.now) {
		a.send(next)
	}
	switch d.do {
	case settle:
		a.settle(r, v)
		return
	case drop:
		a.counters.dropped.Add(1)
		a.bridge.log.Warn().Str("app", a.name).Str("apns_id", r.request.id.String()).Int("code", v.code).
			Str("reason", v.reason).Int("attempts", r.plan.attempts).Msg("given up")
		a.through(r, conversation.Dropped)
		return
	case amendRetry:
		r.request.amend(v.class)
	case renewRetry:
		a.route.Load().upstream(r.session.origin).Renew(r.bearer)
	}
	a.counters.retried.Add(1)
	switch v.class {
	case ambiguous:
		a.counters.ambiguous.Add(1)
	case throttled:
		r.session.release(r) // others shall not wait for one device
	}
	if d.after > 0 {
		a.bridge.waiting.add(r, time.Now().Add(d.after))
		return
	}
	a.send(r)
}

// settle makes of a final verdict what the provider and the feedback list are to
// know.
func (a *app) settle(r *record, v verdict) {
	switch v.class {
	case accepted:
		a.counters.accepted.Add(1)
		a.vouchedFor(r)
		next := a.chains.leave(r)
		if !a.bridge.feedback.alive(r) {
			r.session.settled(r, conversation.Accepted)
		}
		a.follow(next)
	case refused:
		a.counters.refused.Add(1)
		a.refuse(r, v.status)
	case badToken:
		a.counters.badTokens.Add(1)
		if !a.doubts(r) {
			a.badTokens.refused(a.device(r), r.sent)
			a.refuse(r, v.status)
		}
	case gone:
		a.counters.unregistered.Add(1)
		next := a.chains.leave(r)
		a.bridge.feedback.dead(r, v.goneAt(r.sent, a.bridge.now()))
		a.follow(next)
	case unknown:
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
	r.session.settled(r, o)
	a.follow(next)
}

// refuse ends the way of r with the status its provider is to know. Nobody
// touches r afterwards.
func (a *app) refuse(r *record, status binproto.Status) {
	next := a.chains.leave(r)
	r.session.refused(r, status)
	a.follow(next)
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
