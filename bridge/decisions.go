package bridge

import (
	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// perform does what a ledger has decided. The client's lock is free.
func (a *app) perform(d conversation.Decision) {
	b := a.bridge
	switch d.Do {
	case conversation.Forward:
		r := d.Content.(*record)
		a.expireAt(r, d.Expiry, d.Expiry != conversation.NoExpiry, b.now())
		a.deliver(r)
	case conversation.TakeOver:
		// Whoever is delivering it goes on. A crash must not lose it: its Release
		// follows, until then it can be touched.
		if a.shelf != nil {
			a.shelf.keep(d.Content.(*record))
		}
	case conversation.Packet:
		s := d.Conn.Owner.(*Session)
		b.log.Info().Str("app", a.name).Str("client", s.origin.Client).Stringer("address", s.origin.Address).
			Uint8("status", uint8(d.Status)).Uint32("identifier", d.Identifier).Msg(packetMessage(d.Status))
		a.durable(d.Records, func() { s.peer.Fail(d.Status, d.Identifier) })
	case conversation.Close:
		d.Conn.Owner.(*Session).peer.Close()
	case conversation.Feedback:
		b.feedback.untold(a, d.Token, d.Time)
	case conversation.Persist:
		a.durable(d.Records, nil)
	}
}

// durable calls then when records are, and before them all notifications that
// they may speak of and that are on their way to disk.
func (a *app) durable(records []conversation.Record, then func()) {
	write := func() { a.bridge.ledgerLog.write(records, then) }
	if a.shelf == nil {
		write()
		return
	}
	a.shelf.spool.then(a.shelf, write)
}

func packetMessage(s binproto.Status) string {
	if s == binproto.Shutdown {
		return "ended"
	}
	return "refused"
}
