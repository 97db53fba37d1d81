package conversation

import (
	"slices"
	"time"
)

const (
	// oldSocket is how long after the decision on a packet a library may still send again
	// into the connection that failed: it may take seconds to notice the end.
	oldSocket = writesOn + 5*time.Second

	// soonest is how long after that decision a provider has its packet at the earliest:
	// until then the gateway waits for it to be silent.
	soonest = 50 * time.Millisecond

	chainLimit = 256 // how many entries with one content are looked at for one frame
)

// original is a frame that may have been sent again.
type original struct {
	frame      name
	habit      *habit
	constant   bool // its identifier is that of a neighbour
	positional bool // its connection was
}

// likeness is how much a frame must be supported by its place to count as another one sent
// again.
type likeness uint8

const (
	different likeness = iota
	namedAnew          // only if it is the next that its provider would send again, and nothing new came before it
	inOrder            // only if it is the next that its provider would send again
	alike
)

// resent tells whether a frame f of the kind h, with the content of o, is o sent again:
// whether a library may have given it that identifier.
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
			return namedAnew // by a counter over all its connections, or at random; another program may keep them
		}
		return different
	case h.keeps && !h.renames: // but another program of this kind may not keep them
		return inOrder
	}
	return alike
}

func (e *entry) original() original {
	return original{frame: e.frame, habit: e.habit, constant: e.constant, positional: e.episode.positional}
}

// match finds the entry that the frame f of c, with the content k, is a resend of. It
// prefers one with the same identifier, then the next that would come in a round, then any
// other; of several it takes the oldest.
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

// mayComeInRounds reports whether frames on the failed connection may be resends that come
// again and again, be it under the same identifiers or under new ones.
func (e *episode) mayComeInRounds(t instant) bool {
	return t-e.packet >= soonest && t-e.packet <= oldSocket
}

// renamesInRounds reports whether frames that come in rounds may have new identifiers each time.
func (e *episode) renamesInRounds() bool { return e.positional || e.habit.renames }

// comesInRounds reports whether the frame f on c may belong to a round behind the packet there.
// e is what f is a resend of; nil for none.
func (c *Conn) comesInRounds(e *entry, f Frame, t instant) bool {
	ep := c.episode
	return ep != nil && ep.mayComeInRounds(t) && (e == nil || e.frame == f.name() || ep.renamesInRounds())
}

// mayResend reports whether a frame on c that is like the original of e may be that sent
// again. A program that numbers each connection anew does so on c too; one that names each
// frame anew begins a new connection with what it sends again.
func (c *Conn) mayResend(e *entry, like likeness) bool {
	switch ep := e.episode; like {
	case alike:
		return true
	case inOrder:
		return ep.renumbers() || c.isBegunBy(e) || c.numbered && (c.comesNext(e) || c.comesFromTheMiddle(e))
	case namedAnew:
		return ep.renumbers() || c.isBegunBy(e)
	}
	return false
}

// isBegunBy reports whether e is what its provider would send again next, and c, which begins
// with that, does so under new identifiers.
func (c *Conn) isBegunBy(e *entry) bool {
	return c.previous.isNothingNew() && c.run.same == 0 && c.comesNext(e)
}

// comesNext reports whether e is what its provider would send again next, over c.
func (c *Conn) comesNext(e *entry) bool { return c.opened >= e.episode.packet && e.episode.leads(e) }

// comesFromTheMiddle reports whether c may have begun with e because what its provider sent
// again before that is still unread, on a connection that failed too and that it left for c.
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
		// The same frame again, as when a tail of one frame comes in rounds: its identifier is not constant.
		slot.repeats = false
	}
	h := l.habit(c.kind(f))
	e := l.match(c, k, f, h, t)
	isStale := e == nil && c.isStale(k)
	c.noticeList(k, e == nil, h, t)
	c.previous.stale = isStale
	h.seen = t
	early := e == nil && c.episode != nil && c.pairEarly(s, k, h, t)
	inRounds := c.comesInRounds(e, f, t)
	switch {
	case !c.othersRead():
	case inRounds && (e != nil || c.noted(k)): // notes of these would push out all others
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

// swallow gives the frame at s the verdict on the original of e, instead of delivering it again.
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

// noticeList gives up the episodes of a provider that has begun its whole list again: it
// sends the frame before the failed one, and then the failed one.
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
	unmatched bool // it was no resend, and no original of it has come late
	stale     bool // it was sent before all the same, and nothing new came before it on its connection
}

// maxStale is how many keys an episode keeps of frames that may come again in front of its
// entries.
const maxStale = 8

// stale is a frame that may come again, though no entry remembers it.
type stale struct {
	key   key
	index int // where it would stand among the episode's entries; -1: it is the failed one
}

// outdate notes a frame that may come again, though no entry remembers it. Where there are
// too many, those that stand first are kept: two entries behind them are enough to know the
// rest by.
func (e *episode) outdate(s stale) {
	if len(e.stale) < maxStale {
		e.stale = append(e.stale, s)
		return
	}
	last := &e.stale[0]
	for i := range e.stale {
		if e.stale[i].index > last.index {
			last = &e.stale[i]
		}
	}
	if s.index < last.index {
		*last = s
	}
}

// isNothingNew reports whether what comes next may still be the beginning of a resend.
func (g *glimpse) isNothingNew() bool { return !g.unmatched || g.stale }

// isStale reports whether k, and all that came before it on c, was sent before, though no
// entry remembers it: a library begins its resend with what has failed, and knows nothing
// of what was not delivered behind that.
func (c *Conn) isStale(k key) bool {
	if !c.previous.isNothingNew() {
		return false
	}
	episodes := c.ledger.episodes
	for i := len(episodes) - 1; i >= 0 && i >= len(episodes)-chainLimit; i-- {
		if ep := episodes[i]; c.opened >= ep.packet && slices.ContainsFunc(ep.stale, func(s stale) bool { return s.key == k }) {
			return true
		}
	}
	return false
}
