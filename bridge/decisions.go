package bridge

import (
	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
)

// perform does what a ledger has decided. The caller does not hold the client's lock.
func (a *app) perform(d conversation.Decision) {
	b := a.bridge
	switch d.Do {
	case conversation.Forward:
		n := d.Content.(*notification)
		now := b.now()
		a.expireAt(n, d.Expiry, d.Expiry != conversation.NoExpiry, now)
		l := n.session.lane
		l.note(n, trace.Forwarded, "the one sent before it was not delivered")
		l.perform(l.arrive(n, now))
	case conversation.TakeOver:
		// Its delivery goes on as before. It is stored, so that a crash does not lose it.
		// The notification may be used until its Release, which follows.
		if n := d.Content.(*notification); n.lane != nil {
			n.lane.note(n, trace.Released, "it held up a failure behind it: its provider hears no more of it")
			n.lane.during(func(now lane.Now) { n.lane.core.Keep(&n.Item, now) })
		}
	case conversation.Packet:
		s := d.Conn.Owner.(*Session)
		a.packets.add(d.Status)
		a.noteTold(s, d)
		f := s.failure(d.Status, d.Identifier, true, b.now())
		f.Word, f.Device, f.Topic = d.Why, d.Device, a.route.Load().app.TopicOf(s.origin.Topic)
		a.failures.Tell(f)
		e := b.log.Info().Str("app", a.name).Str("client", shortClient(s.origin.Client)).Stringer("address", s.origin.Address).
			Uint8("status", uint8(d.Status)).Uint32("identifier", d.Identifier)
		if d.Status == binproto.Shutdown {
			e.Msg("ended")
		} else {
			e.Str("reason", a.reasonOf(&f)).Msg("refused")
		}
		a.durable(d.Records, func() { s.peer.Fail(d.Status, d.Identifier, d.Within) })
	case conversation.Close:
		d.Conn.Owner.(*Session).peer.Close()
	case conversation.Feedback:
		a.feed(feedback.Entry{Token: d.Token, At: d.Time, Doubt: true}) // no provider was told
	case conversation.Persist:
		a.durable(d.Records, nil)
	}
}

// durable calls then once records are durable. Before that it waits for the notifications
// that they may speak of and that are still on their way to disk.
func (a *app) durable(records []conversation.Record, then func()) {
	log := a.log.Load()
	log.Behind.Add(int64(len(records)))
	a.bridge.afterWritten(a.lanes[:], func() {
		log.Write(records, then)
		log.Behind.Add(-int64(len(records)))
	})
}

// afterWritten calls then once everything that the lanes have to write by now is on disk,
// or, except in SpoolAlways, once it is known that it cannot be written.
func (b *Bridge) afterWritten(lanes []*appLane, then func()) {
	if len(lanes) == 0 {
		then()
		return
	}
	l := lanes[0]
	next := func() { b.afterWritten(lanes[1:], then) }
	l.mu.Lock()
	now := l.core.After(next)
	l.mu.Unlock()
	if now {
		next()
	}
}
