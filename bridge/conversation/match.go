package conversation

import (
	"slices"
	"time"
)

const (
	oldSocket  = 5 * time.Second // in which a library may send again into the connection that failed
	chainLimit = 256             // entries with one content that are looked at for one frame
)

// original is a frame that may have been sent again.
type original struct {
	frame    name
	habit    *habit
	constant bool // its identifier is that of a neighbour
	numbered bool // its connection was positional
}

// resent says whether a frame f of the kind h, with the content of o, is o sent
// again: whether a library may have given it that name.
func (o original) resent(f Frame, h *habit) bool {
	same := o.frame == f.name()
	switch {
	case same && o.frame.has && !o.constant:
		return true
	case o.habit != h:
		return false
	case same:
		return true
	case h.keeps && !h.renames:
		return false
	}
	return o.numbered || o.constant || !o.frame.has || h.renames
}

func (e *entry) original() original {
	return original{frame: e.frame, habit: e.habit, constant: e.constant, numbered: e.episode.numbered}
}

// match finds the entry that the frame f of c, with the content k, is the
// resend of: one of the same identifier rather than another, and the oldest.
func (l *Ledger) match(c *Conn, k key, f Frame, h *habit, t instant) *entry {
	var found *entry
	seen := 0
	for e := l.byKey[k].oldest; e != nil && seen < chainLimit; e = e.younger {
		seen++
		same := e.frame.has && !e.constant && e.frame == f.name()
		switch {
		case e.episode.cause == reset && !same:
		case e.episode.conn == c && !(same && t-e.episode.packet <= oldSocket):
		case same:
			return e
		case found == nil && e.original().resent(f, h):
			found = e
		}
	}
	return found
}

// recognise decides on the frame just taken at s while there is something to
// recognise. It says whether the owner is to forward it.
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
	early := e == nil && c.episode != nil && c.pairEarly(s, k, h)
	if l.open > 0 && l.fits(noteBytes) {
		l.account(noteBytes * int64(l.notes.add(note{key: k, frame: f.name(), habit: h, conn: c.number})))
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
	case l.discards(h):
		l.stats.Discarded++
		c.settle(s, verdict{outcome: Dropped}, t)
		return false
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
		if e.before == before.key && e.habit == h && !h.resends && c.opened >= e.packet {
			l.stats.ListsRepeated++
			if !e.judged {
				l.miss(e, len(e.entries), t)
			}
			l.bury(e)
		}
	}
}

// glimpse is what is kept of a connection's latest frame.
type glimpse struct {
	key       key
	unmatched bool
}
