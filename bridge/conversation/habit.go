package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// habit is what has been learned of a kind of provider.
type habit struct {
	kind    Kind
	seen    instant // its latest frame while there was something to recognise
	resends bool    // it has sent a tail again, in order
	keeps   bool    // under the same identifiers
	renames bool    // under other ones
	misses  int     // tails that did not come again, since the last one that did
	missed  time.Time
}

const (
	run            = 3                 // matches in order that prove a resender
	patience       = 120 * time.Second // from the end of a connection until its tail counts as missing
	silence        = 120 * time.Second // of a kind, after which it is not expected to send again
	longTail       = 5                 // entries whose miss counts twice
	missesAllowed  = 2
	missesOfProven = 6
	memory         = 24 * time.Hour // how long misses count
	maxKinds       = 1024           // of a client
)

// habit finds or makes what is known of k.
func (l *Ledger) habit(k Kind) *habit {
	h := l.habits[k]
	if h == nil {
		if len(l.habits) >= maxKinds {
			l.forgetKind()
		}
		h = &habit{kind: k}
		l.habits[k] = h
	}
	return h
}

// forgetKind forgets the kind that has been silent for the longest time.
func (l *Ledger) forgetKind() {
	var oldest *habit
	for _, h := range l.habits {
		if oldest == nil || h.seen < oldest.seen {
			oldest = h
		}
	}
	delete(l.habits, oldest.kind)
}

// isNever reports whether packets are wasted on h: it does not send again what stood behind
// a failure, and is better served without being told.
func (h *habit) isNever(now time.Time) bool {
	allowed := missesAllowed
	if h.resends {
		allowed = missesOfProven
	}
	return h.misses >= allowed && now.Sub(h.missed) < memory
}

// onlyResends reports whether all programs of the kind are known to send again: one did, and
// no tail has been missing lately.
func (h *habit) onlyResends(now time.Time) bool {
	return h.resends && now.Sub(h.missed) >= memory
}

// Resending is what was found out about a kind of provider.
type Resending uint8

// What it does behind a packet.
const (
	Unsettled    Resending = iota
	SendsAgain             // what stood behind the failed one, in order
	NeverResends           // nothing: it is not told of failures any more
)

// Resending is what is known of programs that write such frames on c. It may be called at
// any time.
func (c *Conn) Resending(command binproto.Command, layout binproto.Layout, now time.Time) Resending {
	h := c.ledger.habits[c.kind(Frame{Command: command, Layout: layout})]
	switch {
	case h == nil:
		return Unsettled
	case h.isNever(now):
		return NeverResends
	case h.resends:
		return SendsAgain
	}
	return Unsettled
}

// ran reports whether a run of e has come again.
func (e *episode) ran() bool { return e.longest >= run }

// renumbers reports whether entries of e have come again under other identifiers, more
// often than by chance.
func (e *episode) renumbers() bool { return e.renamed >= 2 }

// judge decides whether the tail of e has come again. If not, the provider may not have
// read the packet either. Refused entries that have not come again go to the feedback list
// at once; for a proven kind the rest of the tail is remembered for an hour.
func (l *Ledger) judge(e *episode, t instant) {
	e.stage = judged
	l.dropOutOfReach(e)
	for _, x := range e.entries {
		if x.live() && x.state == refused {
			l.list(x)
			l.changed(e, t)
		}
	}
	tail := e.len() - e.excused - e.named
	if tail > 0 && !e.ran() && 2*e.matched < tail {
		l.miss(e, tail, t)
		return
	}
	if 2*(e.matched-e.strays) < tail {
		l.tellFeedback(e)
	}
	e.failure = nil
}

func (l *Ledger) miss(e *episode, tail int, t instant) {
	l.tellFeedback(e)
	h, now := e.habit, l.epoch.Add(t)
	was := h.isNever(now)
	if now.Sub(h.missed) >= memory {
		h.misses = 0
	}
	h.misses++
	if tail >= longTail {
		h.misses++
	}
	h.missed = now
	l.stats.Misses++
	if !was && h.isNever(now) {
		l.stats.BecameNever++
	}
	l.persistHabit(h)
}

// sequence is a run of matches on one connection.
type sequence struct {
	episode     *episode
	first, last int // indices
	length      int
	same, other int // matches under the same identifier, and under another one
}

// learn notes that the frame f on c was the resend of e. A run leaves out only what has
// already come again: identical notifications that match here and there prove nothing.
func (c *Conn) learn(e *entry, f Frame) {
	l, s, ep := c.ledger, &c.run, e.episode
	ep.matched++
	stray := c.isBehindPacketBefore(ep)
	if stray {
		ep.strays++
	}
	if s.episode != ep || e.index <= s.last || ep.remembers(s.last+1, e.index) {
		*s = sequence{episode: ep, first: e.index}
	}
	s.last = e.index
	s.length++
	switch {
	case e.constant || !e.frame.has || !f.HasIdentifier:
	case e.frame.identifier != f.Identifier:
		s.other++
	case !c.numbered: // one that counts anew may have come to the same identifier by chance
		s.same++
	}
	ep.longest = max(ep.longest, s.length)
	if s.other == s.length {
		ep.renamed = max(ep.renamed, s.length)
	}
	if s.length < run {
		return
	}
	if !stray {
		ep.failure = nil
	}
	if !ep.habit.resends {
		l.stats.ProvedResending++
	}
	l.teach(ep.habit, s)
	if e.habit != ep.habit { // a program that lays out its frames in two ways
		l.teach(e.habit, s)
	}
	if ep.matched == s.length { // nothing had come before
		ep.reach = s.first
	}
}

// isBehindPacketBefore reports whether c was told a failure before that of ep was told. What
// comes on c is then sent again because of that earlier packet, and does not show that the
// packet of ep was read.
func (c *Conn) isBehindPacketBefore(ep *episode) bool {
	return c.episode != nil && c.episode.number < ep.number
}

// teach notes that h sends again, as s did.
func (l *Ledger) teach(h *habit, s *sequence) {
	old := *h
	h.resends, h.misses = true, 0
	h.keeps = h.keeps || s.same == s.length
	h.renames = h.renames || s.other == s.length
	if *h != old {
		l.persistHabit(h)
	}
}

// dropOutOfReach gives up the entries of e before the one with which its first run began:
// the library does not keep that many, and sends only the others. Some of them may still be
// on their way on other connections, so this waits until e is judged.
func (l *Ledger) dropOutOfReach(e *episode) {
	for e.live > 0 && e.first < e.reach {
		l.stats.OutOfReach++
		e.excused++
		l.giveUp(e.entries[0])
	}
}
