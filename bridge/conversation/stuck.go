package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// longestWait is how long a failure waits for the verdicts on the notifications before it.
// The longer it waits, the more the provider has written, and has to send again.
const longestWait = time.Second

// findStuck sets when the heads of c's window are to be taken over.
func (c *Conn) findStuck() {
	c.stuck = never
	for s := c.window.head; s < c.window.next; s++ {
		if p := c.window.at(s); p.settled && p.status != binproto.NoError {
			c.stuck = min(c.stuck, p.value.waits)
		}
	}
	if !c.listed {
		c.listed = true
		c.ledger.stuck = append(c.ledger.stuck, c)
	}
}

// takeOverHeads takes over what stands before a failure that has waited for too long.
func (c *Conn) takeOverHeads(t instant) {
	var end Seq
	for s := c.window.head; s < c.window.next; s++ {
		if p := c.window.at(s); p.settled && p.status != binproto.NoError && t >= p.value.waits {
			end = s
		}
	}
	for s := c.window.head; s < end; s++ {
		if !c.window.Settled(s) {
			c.takeOver(s, t)
		}
	}
}

// TakeOver takes over the notifications without a verdict for which slow reports that the
// verdict may take long, so that they do not fill the window.
func (c *Conn) TakeOver(slow func(Content) bool, now time.Time) {
	t := c.ledger.at(now)
	for s := c.window.head; s < c.window.next; s++ {
		if !c.window.Settled(s) {
			if x := c.window.At(s); x.content != nil && slow(x.content) {
				c.takeOver(s, t)
			}
		}
	}
}

// takeOver leaves the notification at s to the owner. One that only follows another is
// settled by taking over that other one.
func (c *Conn) takeOver(s Seq, t instant) {
	x := c.window.At(s)
	if e := x.follows; e != nil {
		e.origin.conn.takeOver(e.origin.seq, t)
		return
	}
	c.ledger.stats.TakenOver++
	c.ledger.out.put(Decision{Do: TakeOver, Conn: c, Seq: s, Content: x.content})
	c.settle(s, verdict{outcome: Spooled}, t)
}
