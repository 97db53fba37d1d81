package bridge

import (
	"fmt"
	"time"

	"apnsbridge/bridge/lane"
)

// ruled carries out what the guard of a line has made of APNs' answers.
func (a *app) ruled(l *appLane, r guardRuling) {
	b := a.bridge
	if r.record != nil {
		b.ledgerLog.saveGuard(guardKey(l, r.line), r.record, b.now())
	}
	if r.Alarm {
		a.health.set(fmt.Sprintf("APNs refuses the app's device tokens, %d different ones in a row: are environment, topic and credential "+
			"those of the app on the devices? If these tokens are really bad, say so: POST /apps/%s/believe", lane.GuardTokens, a.name), b.log)
	}
	if r.Hold {
		a.badTokens.flush(b.now())
	}
	for _, w := range r.Withdraw {
		b.feedback.withdraw(a, w)
	}
}

// recordable reports whether a token that APNs has refused, in a push sent at the
// time at, may go to the feedback list: no line of the app is under suspicion of
// being to blame itself.
func (a *app) recordable(token []byte, at time.Time) bool {
	for _, l := range a.lanes {
		l.lock()
		may := true
		for _, n := range l.core.Lines() {
			ok, save := n.Recordable(token, at)
			may = may && ok
			if save {
				l.Ruled(n, lane.Ruling{Save: true})
			}
		}
		l.unlock()
		if !may {
			return false
		}
	}
	return true
}

// Try makes a probe due at once wherever notifications of an app wait, as its
// operator wants it.
func (b *Bridge) Try(name string) error { return b.tell(name, (*lane.Lane).Try) }

// Believe says that the tokens of an app that APNs refuses are really bad, on its
// operator's word.
func (b *Bridge) Believe(name string) error { return b.tell(name, (*lane.Lane).Believe) }

func (b *Bridge) tell(name string, what func(*lane.Lane, lane.Now)) error {
	b.mu.Lock()
	a := b.apps[name]
	known := a != nil && a.configured
	b.mu.Unlock()
	if !known {
		return fmt.Errorf("no app %q is configured", name)
	}
	for _, l := range a.lanes {
		l.during(func(now lane.Now) {
			what(l.core, now)
			for _, n := range l.core.Lines() {
				l.Ruled(n, lane.Ruling{Save: true})
			}
		})
	}
	return nil
}
