package conversation

import (
	"slices"
	"time"
)

const (
	// oldSocket is how long a library may send again into the connection that failed,
	// after the decision on its packet: it takes seconds to see the end.
	oldSocket = writesOn + 5*time.Second

	// soonest is how long after that decision a provider may have its packet: until
	// then the gateway waits for it to be silent.
	soonest = 50 * time.Millisecond

	chainLimit = 256 // entries with one content that are looked at for one frame
)

// original is a frame that may have been sent again.
type original struct {
	frame      name
	habit      *habit
	constant   bool // its identifier is that of a neighbour
	positional bool // its connection was
}

// likeness is whether one frame may be another one sent again.
type likeness uint8

const (
	different likeness = iota
	countedOn          // only as the next that its provider would send again, and before anything new
	inOrder            // only as the next that its provider would send again
	alike
)

// resent tells whether a frame f of the kind h, with the content of o, is o sent
// again: whether a library may have given it that name.
func (o original) resent(f Frame, h *habit) likeness {
	same := o.frame == f.name()
	switch {
	case same && o.frame.has && !o.constant:
		return alike
	case o.habit != h:
		return different
	case same:
		return alike
	case !o.positional && !o.constant && o.frame.has && !h.renames:
		if !h.keeps && f.HasIdentifier && f.Identifier > o.frame.identifier {
			return countedOn // by a counter of all its connections
		}
		return different
	case h.keeps && !h.renames: // but another program of this kind may not
		return inOrder
	}
	return alike
}

func (e *entry) original() original {
	return original{frame: e.frame, habit: e.habit, constant: e.constant, positional: e.episode.positional}
}

// match finds the entry that the frame f of c, with the content k, is the
// resend of: one of the same identifier rather than the next that would come in a
// round, that rather than another, and the oldest.
func (l *Ledger) match(c *Conn, k key, f Frame, h *habit, t instant) *entry {
	var found *entry
	seen := 0
	for e := l.byKey[k].oldest; e != nil && seen < chainLimit; e = e.younger {
		seen++
		ep, same := e.episode, e.frame.has && !e.constant && e.frame == f.name()
		switch {
		case ep.cause == reset && !same:
		case ep.conn == c && t-ep.packet > oldSocket:
		case same:
			return e
		case ep.conn == c: // under new numbers, round after round, as pushy does
			if (found == nil || found.episode != ep) && ep.mayComeInRounds(t) && ep.leads(e) {
				found = e
			}
		case found == nil && c.mayResend(e, e.original().resent(f, h)):
			found = e
		}
	}
	return found
}

// mayComeInRounds reports whether frames on the failed connection may be resends under
// new numbers.
func (e *episode) mayComeInRounds(t instant) bool {
	return e.positional && t-e.packet >= soonest && t-e.packet <= oldSocket
}

// mayResend reports whether a frame on c that is like the original of e may be it
// sent again. A program that numbers each connection anew does so on c too; one that
// counts over all of them begins a new one with what it sends again.
func (c *Conn) mayResend(e *entry, like likeness) bool {
	switch ep := e.episode; like {
	case alike:
		return true
	case inOrder:
		return ep.renumbers() || c.numbered && c.comesNext(e)
	case countedOn:
		return ep.renumbers() || !c.previous.unmatched && c.comesNext(e)
	}
	return false
}

// comesNext reports whether e is what its provider would send again next, over c.
func (c *Conn) comesNext(e *entry) bool { return c.opened >= e.episode.packet && e.episode.leads(e) }

// recognise decides on the frame just taken at s while there is something to
// recognise. It reports whether the owner is to forward it.
func (c *Conn) recognise(s Seq, t instant) (forward bool) {
	l, slot := c.ledger, c.window.At(s)
	if t >= l.due {
		l.expire(t)
	}
	f := slot.frame
	var k key
	k, l.scratch = keyOf(slot.content, l.scratch)
	h := l.habit(c.kind(f))
	e := l.match(c, k, f, h, t)
	c.noticeList(k, e == nil, h, t)
	h.seen = t
	early := e == nil && c.episode != nil && c.pairEarly(s, k, h, t)
	if c.othersRead() && !c.noted(k, t) && l.noteRoom() {
		l.account(noteBytes * int64(l.notes.add(note{key: k, frame: f.name(), habit: h, conn: c.number, positional: c.numbered})))
	}
	switch {
	case early:
		l.stats.PairedEarly++
		c.settle(s, verdict{outcome: Accepted}, t)
		return false
	case e != nil:
		c.swallow(s, k, e, t)
		return false
	case c.episode == nil:
		return true
	}
	c.remember(c.episode, s, k)
	return true
}

// swallow puts the verdict on e's original in place of a second delivery.
func (c *Conn) swallow(s Seq, k key, e *entry, t instant) {
	l, slot := c.ledger, c.window.At(s)
	switch {
	case e.episode.cause == reset:
		l.stats.SwallowedReset++
	case e.frame == slot.frame.name():
		l.stats.SwallowedSame++
	default:
		l.stats.SwallowedOther++
	}
	l.unindex(e)
	l.changed(e.episode, t)
	c.learn(e, slot.frame)
	if c.episode != nil {
		c.remember(c.episode, s, k)
	}
	switch e.state {
	case pending:
		l.stats.SwallowedPending++
		slot.follows, e.follower = e, place{c, s}
	case accepted:
		c.settle(s, verdict{outcome: Accepted}, t)
	case refused:
		c.settle(s, verdict{outcome: refusedOutcome, refusal: e.refusal}, t)
	}
}

// noticeList gives up the episodes of a provider that has begun its whole list
// again: it sends the frame before the failed one, and then the failed one.
func (c *Conn) noticeList(k key, unmatched bool, h *habit, t instant) {
	l := c.ledger
	before := c.previous
	c.previous = glimpse{key: k, unmatched: unmatched}
	if !before.unmatched || !unmatched {
		return
	}
	for _, e := range slices.Clone(l.lists[k]) {
		if e.list.before == before.key && e.habit == h && !h.resends && c.opened >= e.packet {
			if e.stage < judged {
				l.miss(e, e.len(), t)
			}
			l.end(e, repeated)
		}
	}
}

// glimpse is what is kept of a connection's latest frame.
type glimpse struct {
	key       key
	unmatched bool
}
