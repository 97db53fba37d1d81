package bridge

import "time"

// doubts says that the app is to blame for the refusal of r's token, and not the
// token: r is kept, and what was said of other tokens taken back.
func (a *app) doubts(r *record) bool {
	now := a.bridge.now()
	shelves := a.shelves(r)
	if a.hold.on.Load() && !shelves {
		a.rest(r)
	}
	ruling := a.hold.refused(r, now, !shelves)
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
	if shelves {
		a.shelve(r)
	}
	return true
}

// vouchedFor takes APNs' acceptance of r: its token is good, and so is the app.
func (a *app) vouchedFor(r *record) {
	a.badTokens.accepted(a.device(r))
	released, state := a.hold.accepted(r.Sent)
	for _, held := range released {
		a.send(held)
	}
	if state != nil {
		a.bridge.ledgerLog.saveGuard(a.name, state, r.Sent.Add(guardMemory))
	}
}

// probe sends of the notifications that wait at a gate, or of an app on hold, one
// each if it is time to. It is called all the time, and tells the app's health
// what time it is.
func (a *app) probe(now time.Time) {
	a.health.tick(now, a.bridge.log)
	take := func(probe *record, expired []*record) {
		for _, r := range expired {
			a.expired(r)
		}
		if probe != nil {
			a.send(probe)
		}
	}
	for e := range a.gates {
		take(a.gates[e].take(now))
	}
	take(a.hold.take(now))
}

// busy says whether records of the app are in memory.
func (a *app) busy() bool { return a.account.used.Load() > 0 }

// rerouted lets what waits go the new way of the app at once: one of each
// environment, or all if it is another environment now.
func (a *app) rerouted(moved bool) {
	now := a.bridge.now()
	for e := range a.gates {
		if !moved {
			a.gates[e].renewed(now)
			continue
		}
		for _, r := range a.gates[e].moved(now) {
			a.send(r)
		}
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
