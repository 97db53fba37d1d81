package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// Outcome is what became of a notification.
type Outcome uint8

// The outcomes. To a provider these five are the same.
const (
	Accepted Outcome = iota // by APNs
	Spooled                 // the owner answers for it now, whatever APNs will say
	Gone                    // the device is gone, and is on the feedback list
	Expired                 // before it was delivered
	Dropped                 // not delivered for another reason
	refusedOutcome
)

// delivered reports whether o is as good as a delivery.
func (o Outcome) delivered() bool { return o == Accepted || o == Spooled }

type verdict struct {
	outcome Outcome
	refusal *refusal // if that is the outcome
}

// Settle gives the verdict on the notification at s.
func (c *Conn) Settle(s Seq, o Outcome, now time.Time) {
	c.settle(s, verdict{outcome: o}, c.ledger.at(now))
}

// Refuse gives the verdict that the notification at s is refused. A status of
// InvalidToken says that the device token is bad. why is APNs' reason.
func (c *Conn) Refuse(s Seq, status binproto.Status, why string, now time.Time) {
	r := &refusal{status: status, why: why, time: now}
	token := c.window.At(s).content.Token()
	copy(r.device[:], token)
	if status == binproto.InvalidToken {
		r.token = append(r.token, token...)
	}
	c.settle(s, verdict{refusedOutcome, r}, c.ledger.at(now))
}

func (c *Conn) settle(s Seq, v verdict, t instant) {
	x := c.window.At(s)
	x.outcome, x.follows = v.outcome, nil
	if v.outcome == Spooled {
		c.pass(x)
	}
	e := x.entry
	x.entry = nil
	status := binproto.NoError
	if v.outcome == refusedOutcome {
		x.refusal = v.refusal
		if e == nil && c.owes(s, x, t) {
			status = v.refusal.status
			c.owed++
			x.waits = t + longestWait
		}
	}
	c.window.Settle(s, status)
	if c.phase == told && x.content != nil { // the order no longer matters
		c.ledger.out.put(Decision{Do: Release, Conn: c, Seq: s, Content: x.content})
		x.content = nil
	}
	if e != nil {
		c.ledger.settled(e, v, t)
	}
	c.advance(t)
}

// Undelivered says that a notification which was settled as Spooled has expired or was given
// up since: what its provider sends again is no longer swallowed.
func (c *Conn) Undelivered(v Content, identifier uint32, now time.Time) {
	l := c.ledger
	if len(l.episodes) == 0 {
		return
	}
	var k key
	k, l.scratch = keyOf(v, l.scratch)
	for e := l.byKey[k].oldest; e != nil; e = e.younger {
		if e.state == accepted && e.frame.identifier == identifier {
			l.changed(e.episode, l.at(now))
			l.excuse(e)
			return
		}
	}
}

// advance lets the settled heads leave the window and reports the first failure
// among them.
func (c *Conn) advance(t instant) {
	for {
		s := c.window.head
		x, status, ok := c.window.Next()
		if !ok {
			break
		}
		if status != binproto.NoError {
			c.owed--
			if c.owes(s, x, t) {
				c.fail(s, x, t)
			}
		}
		c.release(s, x)
		*x = slot{}
	}
	if c.owed > 0 {
		c.findStuck()
	} else {
		c.stuck = never
	}
	if c.phase == ended && c.window.Len() == 0 {
		c.phase = told
		c.ledger.out.put(Decision{Do: Close, Conn: c})
	}
}

// release gives back contents one place late, because the frame before a failed one tells
// whether a provider repeats its list. Once a failure was told, that is not needed.
func (c *Conn) release(s Seq, x *slot) {
	if content := c.before.content; content != nil {
		c.ledger.out.put(Decision{Do: Release, Conn: c, Seq: s - 1, Content: content})
	}
	c.before, c.spared = *x, false
	if c.phase == told && x.content != nil {
		c.ledger.out.put(Decision{Do: Release, Conn: c, Seq: s, Content: x.content})
		c.before.content = nil
	}
}

// Spare gives back the content of the latest notification to leave the window, which is
// otherwise kept. It may be called at any time, and costs one hash.
func (c *Conn) Spare() {
	if k, ok := c.keyBefore(); ok && !c.spared {
		c.ledger.out.put(Decision{Do: Release, Conn: c, Seq: c.window.head - 1, Content: c.before.content})
		c.before.content = nil
		c.spared, c.key = true, k
	}
}

// keyBefore is the key of the latest notification to leave the window, if that had a
// content.
func (c *Conn) keyBefore() (k key, ok bool) {
	if c.spared || c.before.content == nil {
		return c.key, c.spared
	}
	k, c.ledger.scratch = keyOf(c.before.content, c.ledger.scratch)
	return k, true
}

// forward lets the owner send the notification at s, whose original was not
// delivered. Of the two expiries the later one wins.
func (c *Conn) forward(s Seq, expiry uint32) {
	x := c.window.At(s)
	x.follows = nil
	c.ledger.out.put(Decision{Do: Forward, Conn: c, Seq: s, Content: x.content, Expiry: max(expiry, x.frame.Expiry)})
}
