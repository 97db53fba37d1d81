package bridge

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"apnsbridge/store"
)

const (
	guardTokens     = 50                 // different tokens refused, none accepted: misconfigured
	guardMemory     = 7 * 24 * time.Hour // how long an acceptance speaks for an app whatever its credential
	probeEvery      = 30 * time.Second   // one notification of an app on hold
	acceptanceGrain = time.Hour          // how exactly, and so how often, an acceptance is remembered
)

// guard knows one app by what APNs says of its device tokens, and finds out
// whether it is the app that is wrong and not the tokens: sandbox against
// production. Providers delete a token that is refused, so the app is then put
// on hold before APNs has refused all of them.
//
// It is put on hold by guardTokens different tokens that APNs has refused in a
// row, if no push was accepted under the app's present credential nor in the
// last seven days. An app that has such an acceptance is never held, for then
// any of its clients could stop it; there is one alarm for each credential. The
// first acceptance under the present credential ends the hold.
//
// Attempts are dated by when they were sent: a verdict on one that was sent
// before the credential changed says nothing of the present one. The zero value
// is a guard that knows nothing. It has no lock.
type guard struct {
	refusals []refusal // of different tokens, since the last acceptance; at most guardTokens
	since    time.Time // the present credential
	proven   bool      // a push was accepted under it
	alarmed  bool      // there was the alarm for it
	last     time.Time // acceptance, whatever the credential

	holding bool
	probe   time.Time // when the next is due, on hold
	doubted time.Time // refusals until then, when the last hold began, were the app's fault
}

// refusal is a token that APNs has refused.
type refusal struct {
	token    string
	recorded time.Time // with which it went to feedback; zero if it did not
}

// ruling is what a refusal leads to. With hold and alarm together a hold begins.
type ruling struct {
	hold     bool         // keep the notification: the refusal is not to be believed
	alarm    bool         // tell the operator
	withdraw []store.Dead // to be taken off the feedback list, as the hold begins
}

// refused takes APNs' verdict that token, in a push sent at sent, is bad.
func (g *guard) refused(token []byte, sent, now time.Time) ruling {
	if g.holding {
		return ruling{hold: true}
	}
	if !sent.After(g.since) {
		return ruling{}
	}
	distinct := len(g.refusals)
	fresh := g.find(token) == nil
	if fresh {
		distinct++
	}
	if distinct >= guardTokens && !g.spokenFor(now) {
		return g.begin(now)
	}
	if fresh && distinct <= guardTokens {
		g.refusals = append(g.refusals, refusal{token: string(token)})
	}
	alarm := distinct >= guardTokens && !g.alarmed
	g.alarmed = g.alarmed || alarm
	return ruling{alarm: alarm}
}

// begin begins a hold.
func (g *guard) begin(now time.Time) ruling {
	r := ruling{hold: true, alarm: true}
	for _, x := range g.refusals {
		if !x.recorded.IsZero() {
			r.withdraw = append(r.withdraw, store.Dead{Token: []byte(x.token), Time: x.recorded})
		}
	}
	g.holding, g.alarmed = true, true
	g.doubted, g.probe = now, now.Add(probeEvery)
	return r
}

func (g *guard) find(token []byte) *refusal {
	i := slices.IndexFunc(g.refusals, func(x refusal) bool { return x.token == string(token) })
	if i < 0 {
		return nil
	}
	return &g.refusals[i]
}

// spokenFor says that an acceptance keeps the app from being held.
func (g *guard) spokenFor(now time.Time) bool {
	return g.proven || !g.last.IsZero() && now.Sub(g.last) < guardMemory
}

// recordable says whether a bad token may go to feedback as of the time at, that
// of the refusal or of the push refused. If so, the entry is remembered in case
// it has to be withdrawn. Entries for devices that are gone need not ask.
func (g *guard) recordable(token []byte, at time.Time) bool {
	if g.holding || !at.After(g.doubted) {
		return false
	}
	if x := g.find(token); x != nil && at.After(x.recorded) {
		x.recorded = at // the list keeps the later of two
	}
	return true
}

// accepted takes APNs' acceptance of a push sent at sent. release ends the
// hold; save says that record has changed.
func (g *guard) accepted(sent time.Time) (release, save bool) {
	if sent.Sub(g.last) >= acceptanceGrain {
		g.last, save = sent, true
	}
	if !sent.After(g.since) {
		return false, save
	}
	g.proven, g.refusals = true, nil
	release, g.holding = g.holding, false
	return release, save
}

// quiet is the time before which another acceptance changes nothing; zero if
// the next one may. An app on hold is never proven.
func (g *guard) quiet() time.Time {
	if !g.proven || len(g.refusals) > 0 {
		return time.Time{}
	}
	return g.last.Add(acceptanceGrain)
}

// credentialChanged says that from now on the app has another credential, or
// another way to APNs. A hold stays until a push is accepted, but a probe is due
// at once.
func (g *guard) credentialChanged(now time.Time) {
	g.since, g.proven, g.alarmed, g.refusals = now, false, false, nil
	g.probe = now
}

// probeDue says that the app is on hold and it is time to try one of what it
// holds back.
func (g *guard) probeDue(now time.Time) bool { return g.holding && !now.Before(g.probe) }

// probed says that a probe goes out now, or that there is nothing to probe with.
func (g *guard) probed(now time.Time) { g.probe = now.Add(probeEvery) }

// record is what is to be remembered across a restart, once there was an
// acceptance: its second since 1970 in 8 bytes, big-endian.
func (g *guard) record() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, g.last.Unix())))
}

// restore takes what record gave before the restart. A time that has not come
// yet, from a clock that was wrong, is taken for now.
func (g *guard) restore(record []byte, now time.Time) error {
	if len(record) != 8 {
		return fmt.Errorf("the time of an app's last acceptance has %d bytes, not 8", len(record))
	}
	seconds := min(binary.BigEndian.Uint64(record), uint64(max(0, now.Unix())))
	if last := time.Unix(int64(seconds), 0); last.After(g.last) {
		g.last = last
	}
	return nil
}
