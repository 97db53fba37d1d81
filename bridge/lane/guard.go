package lane

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

const (
	GuardTokens = 50                        // different tokens refused and none accepted: the app is misconfigured
	guardMemory = 7 * 24 * 3600             // seconds that an acceptance vouches for a line, also after a restart
	guardGrain  = 3600                      // seconds: how precisely, and so how often, one is recorded
	GuardLife   = guardMemory * time.Second // how long a Record is of use
)

// Guard watches what APNs says of a line's device tokens, to find out whether the app
// is wrong rather than the tokens: sandbox instead of production, for instance.
// Providers delete a token that is refused, so the line's door is then closed before
// APNs has refused them all.
//
// The door closes when fifty different tokens have been refused in a row and no push
// was accepted under the present credential, endpoint, environment and topic, neither
// in this run nor in the seven days before a restart. A line that has such an
// acceptance is never held, or else any one of its clients could stop it; the operator
// is told once.
//
// Attempts are dated by when they were sent: a verdict on one that was sent under
// another configuration says nothing of the present one.
type Guard struct {
	tokens   int           // how many arouse suspicion; 0: the guard is off
	under    string        // names credential, endpoint, environment and topic
	since    time.Duration // when these came into effect
	proven   bool          // a push was accepted under them
	alarmed  bool          // the operator has been told
	believed bool          // the operator has said that these tokens are bad
	accepted int64         // the last acceptance that was recorded, in seconds since 1970
	refusals []refusal     // of different tokens since the last acceptance, at most tokens of them
	doubted  time.Time     // when the last hold began: refusals until then were the app's fault
}

// refusal is a token that APNs has refused.
type refusal struct {
	token    string
	recorded time.Time // the time with which it went to feedback; zero if it did not
}

// Withdrawal is an entry to be taken off the feedback list.
type Withdrawal struct {
	Token    []byte
	Recorded time.Time
}

// Ruling is what a verdict leads to.
type Ruling struct {
	Hold     bool         // the refusal is not believed: the line's door closes
	Alarm    bool         // tell the operator
	Save     bool         // what Record gives has changed
	Withdraw []Withdrawal // when a hold begins
}

// refuse takes APNs' verdict that the token of a push sent at sent is bad.
func (g *Guard) refuse(token []byte, sent time.Duration, now Now) Ruling {
	if g.tokens == 0 || g.believed || sent < g.since {
		return Ruling{}
	}
	distinct := len(g.refusals)
	known := slices.ContainsFunc(g.refusals, func(r refusal) bool { return r.token == string(token) })
	if !known {
		distinct++
	}
	if distinct >= g.tokens && !g.proven {
		return g.hold(now)
	}
	alarm := distinct >= g.tokens && !g.alarmed
	g.alarmed = g.alarmed || alarm
	if !known && distinct <= g.tokens {
		g.refusals = append(g.refusals, refusal{token: string(token)})
	}
	return Ruling{Alarm: alarm, Save: !known && !g.proven}
}

func (g *Guard) hold(now Now) Ruling {
	r := Ruling{Hold: true, Alarm: true, Save: true}
	for _, x := range g.refusals {
		if !x.recorded.IsZero() {
			r.Withdraw = append(r.Withdraw, Withdrawal{[]byte(x.token), x.recorded})
		}
	}
	g.alarmed, g.refusals = true, nil
	g.doubted = now.Time
	return r
}

// recordable reports whether a bad token may go to feedback with the time at, that of
// its refusal. If so, the entry is remembered in case it has to be withdrawn.
func (g *Guard) recordable(token []byte, at time.Time) (ok, save bool) {
	if !at.After(g.doubted) {
		return false, false
	}
	for i := range g.refusals {
		if x := &g.refusals[i]; x.token == string(token) && at.After(x.recorded) {
			x.recorded = at // the list keeps the later of two
			return true, !g.proven
		}
	}
	return true, false
}

// accept takes APNs' acceptance of a push sent at sent. It reports whether what
// Record gives has changed.
func (g *Guard) accept(sent time.Duration, now Now) (save bool) {
	if sent < g.since {
		return false
	}
	save = !g.proven || now.Wall-g.accepted >= guardGrain
	g.proven = true
	if len(g.refusals) > 0 {
		g.refusals = g.refusals[:0]
	}
	if save {
		g.accepted = now.Wall
	}
	return save
}

// renewed notes that credential, endpoint, environment or topic have changed.
func (g *Guard) renewed(now Now) {
	*g = Guard{tokens: g.tokens, under: g.under, since: now.Mono, doubted: g.doubted}
}

// believe notes that the tokens that APNs refuses are indeed bad.
func (g *Guard) believe() { g.believed, g.refusals, g.doubted = true, nil, time.Time{} }

const guardVersion = 1

// record is what has to survive a restart; suspect is whether the guard has closed the
// line's door. Integers are big-endian:
//
//	version u8 · suspect u8 · believed u8 · last acceptance, seconds since 1970, 0 for none: i64 ·
//	what it was under: length u8, text · doubted until, milliseconds: i64 ·
//	refused tokens: { length u16, token, recorded, milliseconds, 0 for not: i64 }
func (g *Guard) record(suspect bool) []byte {
	flag := func(b bool) byte {
		if b {
			return 1
		}
		return 0
	}
	millis := func(t time.Time) uint64 {
		if t.IsZero() {
			return 0
		}
		return uint64(t.UnixMilli())
	}
	accepted := int64(0)
	if g.proven {
		accepted = g.accepted
	}
	b := []byte{guardVersion, flag(suspect), flag(g.believed)}
	b = binary.BigEndian.AppendUint64(b, uint64(accepted))
	b = append(append(b, byte(len(g.under))), g.under...)
	b = binary.BigEndian.AppendUint64(b, millis(g.doubted))
	for _, x := range g.refusals {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(x.token))), x.token...)
		b = binary.BigEndian.AppendUint64(b, millis(x.recorded))
	}
	return b
}

var errGuard = errors.New("the record of a topic's acceptances is of another version, or cut short")

// restore takes what record gave before the restart. A record from another
// configuration says nothing. It reports whether the guard had closed the line's door.
func (g *Guard) restore(b []byte, now Now) (suspect bool, err error) {
	if len(b) < 12 || b[0] != guardVersion || len(b) < 20+int(b[11]) {
		return false, errGuard
	}
	suspect = b[1] == 1
	believed, accepted := b[2] == 1, min(int64(binary.BigEndian.Uint64(b[3:])), now.Wall)
	under := string(b[12 : 12+int(b[11])])
	b = b[12+len(under):]
	doubted := timeOf(b)
	b = b[8:]
	if under != g.under {
		return false, nil
	}
	g.believed, g.accepted, g.doubted = believed, accepted, doubted
	g.proven = accepted > 0 && now.Wall-accepted < guardMemory
	for len(b) > 0 && len(g.refusals) < g.tokens {
		if len(b) < 2 || len(b) < 10+int(binary.BigEndian.Uint16(b)) {
			return suspect, errGuard
		}
		size := int(binary.BigEndian.Uint16(b))
		g.refusals = append(g.refusals, refusal{string(b[2 : 2+size]), timeOf(b[2+size:])})
		b = b[10+size:]
	}
	return suspect && !believed, nil
}

func timeOf(b []byte) time.Time {
	millis := int64(binary.BigEndian.Uint64(b))
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}
