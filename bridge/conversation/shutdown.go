package conversation

import (
	"time"

	"apnsbridge/binproto"
)

const (
	nameable    = 100              // how many of the client's latest frames a status 10 may name
	nameableFor = 60 * time.Second // how old these frames may be
	quiet       = 5 * time.Second  // without a frame: nothing is likely to be on its way
)

// Shutdown ends the conversation because the gateway stops, or the client's app is gone.
// It has to be called once everything that can be is settled or taken over. The packet,
// if there is one, names the last notification that has its verdict together with all
// before it; what stands behind that one is remembered.
func (c *Conn) Shutdown(now time.Time) {
	l, t := c.ledger, c.ledger.at(now)
	if c.phase >= ended {
		return
	}
	named, s := &c.before, c.window.head-1
	unsettled := c.window.Len() > 0
	if named.order == 0 && unsettled {
		named, s = c.window.At(c.window.head), c.window.head
	}
	recent := l.frames-named.order < nameable && t-named.taken < nameableFor
	silent := c.frames == 0 || t-c.latest >= quiet
	if !named.frame.HasIdentifier || c.tells != tellAll || c.hushed || c.constant(s, named) ||
		l.isNever(c.kind(named.frame), t) || !unsettled && (silent || !recent) {
		c.phase = told
		c.oweNothing()
		l.out.put(Decision{Do: Close, Conn: c})
		return
	}
	l.stats.Shutdowns++
	e := l.begin(c, shutdown, l.habit(c.kind(named.frame)), t)
	e.named = 1
	if s < c.window.head && named.outcome.delivered() {
		if k, ok := c.keyBefore(); ok {
			l.rememberNamed(c, e, named, k, t)
		}
	}
	c.tell(e, &refusal{status: binproto.Shutdown}, named.frame.Identifier, t)
}

// rememberNamed puts the accepted notification x, which a status 10 names, in front of e:
// some libraries send that one again too. k is its key.
func (l *Ledger) rememberNamed(c *Conn, e *episode, x *slot, k key, t instant) {
	n := l.enter(e, &entry{key: k, habit: e.habit, frame: x.frame.name(), expiry: x.frame.Expiry, constant: x.repeats})
	if n != nil {
		l.settled(n, verdict{outcome: Accepted}, t)
	}
}
