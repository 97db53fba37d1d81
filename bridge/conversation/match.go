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
	namedAnew          // only as the next that its provider would send again, and before anything new
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
		if f.HasIdentifier {
			return namedAnew // by a counter of all its connections, or at random; another program may keep them
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
			if (found == nil || found.episode != ep) && ep.renamesInRounds() && ep.mayComeInRounds(t) && ep.leads(e) {
				found = e
			}
		case found == nil && c.mayResend(e, e.original().resent(f, h)):
			found = e
		}
	}
	return found
}

// mayComeInRounds reports whether frames on the failed connection may be resends, and come
// again and again: under the same number, or under new ones.
func (e *episode) mayComeInRounds(t instant) bool {
	return t-e.packet >= soonest && t-e.packet <= oldSocket
}

// renamesInRounds reports whether what comes in rounds may have new numbers each time.
func (e *episode) renamesInRounds() bool { return e.positional || e.habit.renames }

// comesInRounds reports whether the frame f on c may be one of a round behind the packet there.
// e is what it is the resend of, if anything.
func (c *Conn) comesInRounds(e *entry, f Frame, t instant) bool {
	ep := c.episode
	return ep != nil && ep.mayComeInRounds(t) && (e == nil || e.frame == f.name() || ep.renamesInRounds())
}

// mayResend reports whether a frame on c that is like the original of e may be it
// sent again. A program that numbers each connection anew does so on c too; one that
// names each frame anew begins a new one with what it sends again.
func (c *Conn) mayResend(e *entry, like likeness) bool {
	switch ep := e.episode; like {
	case alike:
		return true
	case inOrder:
		return ep.renumbers() || c.numbered && (c.comesNext(e) || c.comesFromTheMiddle(e))
	case namedAnew:
		return ep.renumbers() || c.previous.isNothingNew() && c.comesNext(e)
	}
	return false
}

// comesNext reports whether e is what its provider would send again next, over c.
func (c *Conn) comesNext(e *entry) bool { return c.opened >= e.episode.packet && e.episode.leads(e) }

// comesFromTheMiddle reports whether c may have begun with e because what its provider sent
// again before it lies unread: on a connection that failed too, and that it left for c.
func (c *Conn) comesFromTheMiddle(e *entry) bool {
	ep, s := e.episode, &c.run
	if c.frames > 1 && (s.episode != ep || e.index <= s.last || ep.remembers(s.last+1, e.index)) {
		return false
	}
	return slices.ContainsFunc(c.ledger.episodes, func(left *episode) bool {
		return left.stage == reading && left.number > ep.number && left.conn != c && left.conn.opened >= ep.packet
	})
}

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
	if c.episode != nil && (k == c.previous.key || c.newest != nil && k == c.newest.key) {
		// The same frame again, as a tail of one comes in rounds: that is no constant identifier.
		slot.repeats = false
	}
	h := l.habit(c.kind(f))
	e := l.match(c, k, f, h, t)
	stale := e == nil && c.isStale(k)
	c.noticeList(k, e == nil, h, t)
	c.previous.stale = stale
	h.seen = t
	early := e == nil && c.episode != nil && c.pairEarly(s, k, h, t)
	inRounds := c.comesInRounds(e, f, t)
	switch {
	case !c.othersRead():
	case inRounds && (e != nil || c.noted(k)): // they would push out what else there is
	default:
		l.addNote(note{key: k, frame: f.name(), habit: h, conn: c.number, glimpse: c.previous, positional: c.numbered})
	}
	switch {
	case early:
		l.stats.PairedEarly++
		c.settle(s, verdict{outcome: Accepted}, t)
		return false
	case e != nil:
		c.swallow(s, k, e, t)
		if inRounds && c.newest != nil && c.newest.key == k {
			c.newest.noteless = true
		}
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
	c.previous = &glimpse{key: k, unmatched: unmatched}
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
	unmatched bool // and no original of it has come late
	stale     bool // it is sent again all the same, and there was nothing new on its connection before it
}

// maxStale is how many of what may come again in front of its entries are kept of an episode.
const maxStale = 8

// outdate notes that what has the content k will come again, and is not remembered.
func (e *episode) outdate(k key) {
	if len(e.stale) < maxStale {
		e.stale = append(e.stale, k)
	}
}

// isNothingNew reports whether what its provider sends again may follow.
func (g *glimpse) isNothingNew() bool { return !g.unmatched || g.stale }

// isStale reports whether c has begun with what was sent before, and goes on with k, that
// was too, though nothing remembers it: a library sends again what has failed, and knows
// nothing of what was not delivered behind it.
func (c *Conn) isStale(k key) bool {
	if !c.previous.isNothingNew() {
		return false
	}
	episodes := c.ledger.episodes
	for i := len(episodes) - 1; i >= 0 && i >= len(episodes)-chainLimit; i-- {
		if ep := episodes[i]; c.opened >= ep.packet && slices.Contains(ep.stale, k) {
			return true
		}
	}
	return false
}
