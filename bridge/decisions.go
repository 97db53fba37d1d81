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
		r.request.expiration, r.expires = noExpiration, 0
		if d.Expiry != conversation.NoExpiry {
			r.request.expiration, r.expires = expiration(d.Expiry, b.now())
		}
		a.deliver(r)
	case conversation.Packet:
		s := d.Conn.Owner.(*Session)
		b.log.Info().Str("app", a.name).Str("client", s.origin.Client).Stringer("address", s.origin.Address).
			Uint8("status", uint8(d.Status)).Uint32("identifier", d.Identifier).Msg(packetMessage(d.Status))
		b.ledgerLog.write(d.Records, func() { s.peer.Fail(d.Status, d.Identifier) })
	case conversation.Close:
		d.Conn.Owner.(*Session).peer.Close()
	case conversation.Feedback:
		b.feedback.untold(a, d.Token, d.Time)
	case conversation.Persist:
		b.ledgerLog.write(d.Records, nil)
	}
}

func packetMessage(s binproto.Status) string {
	if s == binproto.Shutdown {
		return "ended"
	}
	return "refused"
}
