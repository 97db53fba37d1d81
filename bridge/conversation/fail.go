package conversation

import (
	"slices"
	"time"

	"apnsbridge/binproto"
)

// owes reports whether the refusal of the notification at s is to be told by a
// packet. If not, its token goes to the feedback list.
func (c *Conn) owes(s Seq, x *slot, t instant) bool {
	l, st := c.ledger, &c.ledger.stats
	var why *uint64
	switch status := x.refusal.status; {
	case c.phase >= ended:
		why = &st.Untold
	case c.tells == tellNone, c.hushed:
		why = &st.SkippedMute
	case c.tells == tellMalformed && status == binproto.InvalidToken:
		why = &st.SkippedContinue
	case !reported(status):
		why = &st.SkippedStatus
	case !x.frame.HasIdentifier:
		why = &st.SkippedNoName
	case c.constant(s, x):
		c.pass(x)
		why = &st.SkippedConstant
	case slices.Contains(c.passed, x.frame.Identifier):
		why = &st.SkippedConstant
	case l.isNever(c.kind(x.frame), t):
		why = &st.SkippedNever
	default:
		return true
	}
	*why++
	l.feedback(x.refusal)
	return false
}

// maxPassed is how many identifiers are kept of notifications that may have failed untold.
const maxPassed = 256

// pass notes that x may have failed untold. Should a later notification with the same
// identifier fail, the provider would mistake it for this one, and send again what lies
// between the two.
func (c *Conn) pass(x *slot) {
	if !x.frame.HasIdentifier || slices.Contains(c.passed, x.frame.Identifier) {
		return
	}
	if len(c.passed) == maxPassed {
		c.passed = slices.Delete(c.passed, 0, 1)
	}
	c.passed = append(c.passed, x.frame.Identifier)
}

// reported reports whether libraries take status to mean "this one failed": APNs' verdicts
// become one of 2 to 8, and 255 stands for a malformed frame.
func reported(s binproto.Status) bool {
	return s >= binproto.MissingDeviceToken && s <= binproto.InvalidToken || s == binproto.Unknown
}

// fail tells the provider that the notification at s, which has just left the
// window, was refused, and remembers what stands behind it.
func (c *Conn) fail(s Seq, x *slot, t instant) {
	l := c.ledger
	e := l.begin(c, failure, l.habit(c.kind(x.frame)), t)
	e.failure = x.refusal
	var failed key
	failed, l.scratch = keyOf(x.content, l.scratch)
	e.outdate(stale{failed, -1})
	if before, ok := c.keyBefore(); ok {
		l.watchList(e, pair{before: before, failed: failed})
	}
	l.stats.Packets++
	c.tell(e, x.refusal, x.frame.Identifier, t)
}

// A provider that goes on writing when it is to be told a failure is first read on, for
// writesOn at most: one that writes its list and then goes would answer the packet with a
// reset, which takes with it what is on its way. A provider that is known to send again
// does read packets, and the sooner it does, the less it has to send again: it is read on
// for resendsOn only. That holds if its whole kind sends again, for another program may
// write frames like its own, and go. Before a status 10 it has been read for long enough.
const (
	writesOn  = 10 * time.Second
	resendsOn = time.Second
)

// tell remembers what is in the window and sends the packet.
func (c *Conn) tell(e *episode, r *refusal, identifier uint32, t instant) {
	l := c.ledger
	c.phase, c.episode = told, e
	c.rememberWindow(e, t)
	d := Decision{
		Do: Packet, Conn: c, Status: r.status, Identifier: identifier, Within: writesOn, Why: r.why, Device: r.device,
	}
	if r.token != nil {
		copy(d.Device[:], r.token) // r may come from disk, where it has no device
	}
	if e.habit.onlyResends(l.epoch.Add(t)) || e.cause == shutdown {
		d.Within = resendsOn
	}
	if l.options.Durable {
		e.record = recorded
		d.Records = []Record{l.episodeRecord(e, t)}
	}
	l.out.put(d)
}

// rememberWindow makes entries of the notifications in the window that may be sent again.
func (c *Conn) rememberWindow(e *episode, t instant) {
	l := c.ledger
	for s := c.window.head; s < c.window.next; s++ {
		p := c.window.at(s)
		x := &p.value
		if x.content == nil {
			continue
		}
		var k key
		k, l.scratch = keyOf(x.content, l.scratch)
		c.remember(e, s, k)
		if p.settled && x.entry != nil {
			l.settled(x.entry, verdict{x.outcome, x.refusal}, t)
			x.entry, p.status = nil, binproto.NoError
		}
	}
	c.oweNothing()
}

// oweNothing puts bad tokens in the window on the feedback list: they will not be reported
// by a packet.
func (c *Conn) oweNothing() {
	for s := c.window.head; c.owed > 0 && s < c.window.next; s++ {
		if p := c.window.at(s); p.settled && p.status != binproto.NoError {
			c.ledger.stats.Untold++
			c.ledger.feedback(p.value.refusal)
			p.status = binproto.NoError
		}
	}
	c.owed, c.stuck = 0, never
}

// broken remembers what had no verdict when the connection broke without a packet. Some
// libraries send that again.
func (c *Conn) broken(t instant) {
	if c.window.Len() == 0 {
		return
	}
	l := c.ledger
	_, x, _ := c.window.Head()
	e := l.begin(c, reset, l.habit(c.kind(x.frame)), t)
	for s := c.window.head; s < c.window.next; s++ {
		if x := c.window.At(s); !c.window.Settled(s) && x.content != nil {
			var k key
			k, l.scratch = keyOf(x.content, l.scratch)
			c.remember(e, s, k)
		}
	}
	e.conn = nil
}
