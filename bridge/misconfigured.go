package bridge

import (
	"time"

	"apnsbridge/bridge/conversation"
)

// doubts says that the app is to blame for the refusal of r's token, and not the
// token: r is kept, and what was said of other tokens taken back.
func (a *app) doubts(r *record) bool {
	now := a.bridge.now()
	ruling := a.hold.refused(r, now)
	if ruling.alarm {
		a.health.set("APNs refuses the app's device tokens, fifty different ones in a row: are environment, topic and credential those of the app on the devices?", a.bridge.log)
	}
	if !ruling.hold {
		return false
	}
	if ruling.alarm {
		a.badTokens.flush(now)
		for _, d := range ruling.withdraw {
			a.bridge.feedback.withdraw(a, d)
		}
	}
	return true
}

// vouchedFor takes APNs' acceptance of r: its token is good, and so is the app.
func (a *app) vouchedFor(r *record) {
	a.badTokens.accepted(a.device(r))
	released, state := a.hold.accepted(r.sent)
	for _, held := range released {
		a.send(held)
	}
	if state != nil {
		a.bridge.ledgerLog.saveGuard(a.name, state, r.sent.Add(guardMemory))
	}
}

// probe sends one of the notifications of an app on hold, if it is time to.
func (a *app) probe(now time.Time) {
	probe, expired := a.hold.takeProbe(now)
	for _, r := range expired {
		a.counters.expired.Add(1)
		a.through(r, conversation.Expired)
	}
	if probe != nil {
		a.send(probe)
	}
}

// reconfigured says that the app has settings under which other tokens may be
// good, over other connections or the same.
func (a *app) reconfigured(connections bool) {
	now := a.bridge.now()
	a.badTokens.flush(now)
	if connections {
		a.hold.credentialChanged(now)
	}
}
