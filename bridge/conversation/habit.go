package conversation

import (
	"slices"
	"time"
)

// habit is what has been learned of a kind of provider.
type habit struct {
	kind    Kind
	seen    instant // its latest frame while there was something to recognise
	resends bool    // it has sent a tail again, in order
	keeps   bool    // under the same identifiers
	renames bool    // under other ones
	misses  int     // tails that did not come again since the last that did
	missed  time.Time
}

const (
	run            = 3                 // matches in order that prove a resender
	patience       = 120 * time.Second // from the end of a connection until its tail is called missing
	silence        = 120 * time.Second // of a kind, after which it is not expected to send again
	longTail       = 5                 // entries whose miss counts twice
	missesAllowed  = 2
	missesOfProven = 6
	memory         = 24 * time.Hour // of misses
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

// isNever says that packets are wasted on h: it does not send again what stood
// behind a failure, and is better served without being told.
func (h *habit) isNever(now time.Time) bool {
	allowed := missesAllowed
	if h.resends {
		allowed = missesOfProven
	}
	return h.misses >= allowed && now.Sub(h.missed) < memory
}

// judge decides whether the tail of e came again.
func (l *Ledger) judge(e *episode, t instant) {
	e.judged = true
	tail := len(e.entries) - e.died - e.exempt
	if e.cause == reset || tail <= 0 || e.ran || 2*e.matched >= tail {
		return
	}
	l.miss(e, tail, t)
}

func (l *Ledger) miss(e *episode, tail int, t instant) {
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
	index       int32
	length      int
	same, other int // matches under the same identifier, and under another one
}

// remembers says whether an entry from i to before j has not come again.
func (e *episode) remembers(i, j int32) bool {
	return slices.ContainsFunc(e.entries[i:j], (*entry).live)
}

// learn notes that a frame on c was the resend of e. A run leaves nothing out
// that has not come again already: identical notifications, that match here and
// there, prove nothing.
func (c *Conn) learn(e *entry, f Frame) {
	l, s := c.ledger, &c.run
	e.episode.matched++
	if s.episode != e.episode || e.index <= s.index || e.episode.remembers(s.index+1, e.index) {
		*s = sequence{episode: e.episode}
	}
	s.index = e.index
	s.length++
	switch {
	case e.constant || !e.frame.has || !f.HasIdentifier:
	case e.frame.identifier != f.Identifier:
		s.other++
	case !c.numbered: // one that counts anew may have come by the same identifier
		s.same++
	}
	if s.length < run {
		return
	}
	e.episode.ran = true
	h, old := e.episode.habit, *e.episode.habit
	if !h.resends {
		l.stats.ProvedResending++
	}
	h.resends, h.misses = true, 0
	h.keeps = h.keeps || s.same == s.length
	h.renames = h.renames || s.other == s.length
	if *h != old {
		l.persistHabit(h)
	}
}
