package conversation

import (
	"math"
	"slices"
)

// episode is what stands behind one packet on one connection: the frames that the
// provider will send again, if it is one that does.
type episode struct {
	number     int64 // nanoseconds since 1970 at the packet, made unique
	cause      cause
	stage      stage
	record     recordState
	positional bool     // the identifiers of the connection were first, first+1, …, see Conn.count
	habit      *habit   // of the kind that wrote the failed frame
	conn       *Conn    // until it is gone
	failure    *refusal // what the packet told; nil once the packet is known to have been read
	list       *pair    // nil: not known
	stale      []stale  // the failed one, and the first that were not delivered behind it

	packet instant // when it was decided on
	closed instant // when the provider ended the connection
	base   instant // latest of packet, original settled, closed
	since  uint64  // ordinal of the first note taken after the packet

	entries []*entry // in the order of the frames, from the oldest live one on; nil: used or given up
	first   int      // index of entries[0]
	live    int      // entries that can still swallow
	pending int      // entries whose original has no verdict
	matched int      // entries that have come again
	strays  int      // of these, the ones that came behind an older packet, which say nothing of this one
	excused int      // entries that need not come again
	named   int      // entries in front that a status 10 names: delivered, but some providers send that again
	reach   int      // index of the entry with which the first run began
	longest int      // the most matches in order on one connection
	renamed int      // the same, all of them under other identifiers
}

// pair is the failed notification and the one before it. A provider that sends both again,
// one after the other, has begun its list anew.
type pair struct{ before, failed key }

// cause is what began an episode.
type cause uint8

const (
	failure  cause = iota // a notification that failed
	shutdown              // status 10
	reset                 // no packet: the connection broke
)

// stage is how far an episode has come. It only grows.
type stage uint8

const (
	reading stage = iota // the provider has not ended the connection
	unheard              // the provider has ended it, perhaps without having read the packet
	waiting              // for frames to come again
	judged               // it was decided whether they have come
	over
)

// recordState tells whether the store has an episode's present state.
type recordState uint8

const (
	unrecorded recordState = iota
	recorded
	outdated
)

// begin opens an episode on c.
func (l *Ledger) begin(c *Conn, why cause, h *habit, t instant) *episode {
	l.makeRoom(episodeBytes, nil)
	l.notes.packet = l.notes.count()
	number := max(l.epoch.Add(t).UnixNano(), l.lastNumber+1)
	l.lastNumber = number
	e := &episode{
		number: number, cause: why, habit: h, conn: c, positional: c.numbered, packet: t, base: t,
		closed: t, since: l.notes.packet,
	}
	l.episodes = append(l.episodes, e)
	l.account(episodeBytes)
	if why == reset {
		e.stage = judged
	} else {
		l.open++
	}
	return e
}

// remember adds the notification at s of c to ep.
func (c *Conn) remember(ep *episode, s Seq, k key) {
	x := c.window.At(s)
	e := c.ledger.enter(ep, &entry{
		key: k, habit: c.ledger.habit(c.kind(x.frame)), origin: place{c, s},
		frame: x.frame.name(), expiry: x.frame.Expiry, constant: c.constant(s, x),
	})
	if e == nil {
		return
	}
	if x.repeats && c.newest != nil && c.newest.frame == e.frame {
		c.newest.constant = true
	}
	c.newest, x.entry = e, e
	c.ledger.changed(ep, x.taken)
}

// enter puts e behind the other entries of ep, without a verdict yet. It returns nil if
// there is no room.
func (l *Ledger) enter(ep *episode, e *entry) *entry {
	if !l.makeRoom(entryBytes, ep) {
		l.stats.Evicted++
		return nil
	}
	e.episode, e.index = ep, ep.len()
	ep.entries = append(ep.entries, e)
	ep.pending++
	l.stats.Remembered++
	l.index(e)
	return e
}

// len is how many entries e has had.
func (e *episode) len() int { return e.first + len(e.entries) }

// leads reports whether x is the first entry of e that has yet to come again; entries that
// need not come again may stand before it.
func (e *episode) leads(x *entry) bool {
	for i, front := range e.entries {
		if front == x {
			return true
		}
		if front.live() && e.first+i >= e.named {
			return false
		}
	}
	return false
}

// remembers reports whether an entry from i to before j has not come again.
func (e *episode) remembers(i, j int) bool {
	i, j = max(i-e.first, 0), max(j-e.first, 0)
	return i < j && slices.ContainsFunc(e.entries[i:j], (*entry).live)
}

// close notes that the provider has ended the connection of e. heard says that it may have
// read the packet.
func (l *Ledger) close(e *episode, heard bool, t instant) {
	if e.stage > reading {
		return
	}
	if e.stage = waiting; !heard {
		e.stage = unheard
	}
	e.closed, e.base = t, max(e.base, t)
	l.due = min(l.due, t+min(patience, l.options.Life))
	if l.open--; l.open == 0 {
		l.account(-noteBytes * int64(l.notes.clear()))
	}
}

// detach notes that the connection of e is gone, and whether the provider may have read the
// packet.
func (l *Ledger) detach(e *episode, heard bool, t instant) {
	cut := e.stage == reading && !heard // by a reset, which says nothing of the packet
	l.close(e, true, t)
	conn := e.conn
	e.conn = nil
	switch {
	case e.stage == unheard && !heard:
		l.leaveNotes(e, conn)
		l.end(e, unread)
	case e.stage == unheard:
		e.stage = waiting
	case cut:
		l.tellFeedback(e)
	}
	l.due = min(l.due, t)
}

// tellFeedback puts the failed token of e on the feedback list, unless the provider is known
// to have read of it.
func (l *Ledger) tellFeedback(e *episode) {
	if e.failure != nil {
		l.feedback(e.failure)
		e.failure = nil
	}
}

// ending is why an episode ends.
type ending uint8

const (
	outlived ending = iota // its time is over
	unread                 // the provider did not get the packet: nothing will be sent again
	repeated               // the provider begins its whole list anew
	crowded                // there is no room
)

// end ends e: it swallows nothing any more. Bad tokens that no provider is known to have
// heard of go to the feedback list.
func (l *Ledger) end(e *episode, why ending) {
	l.empty(e, why)
	l.episodes = slices.DeleteFunc(l.episodes, isOver)
}

// empty does what end does, and leaves e on the list of episodes.
func (l *Ledger) empty(e *episode, why ending) {
	switch why {
	case outlived:
		l.stats.ExpiredUnused += uint64(e.live)
	case unread:
		l.stats.Blind++
	case repeated:
		l.stats.ListsRepeated++
	}
	l.tellFeedback(e)
	l.close(e, true, e.closed)
	for e.live > 0 {
		l.giveUp(e.entries[0])
	}
	if e.conn != nil && e.conn.episode == e {
		e.conn.episode, e.conn.newest = nil, nil
	}
	l.account(-episodeBytes)
	if e.record != unrecorded {
		l.out.put(Decision{Do: Persist, Records: []Record{{Key: l.episodeKey(e)}}})
	}
	if e.list != nil {
		k := e.list.failed
		if l.lists[k] = slices.DeleteFunc(l.lists[k], func(x *episode) bool { return x == e }); len(l.lists[k]) == 0 {
			delete(l.lists, k)
		}
	}
	e.stage = over
}

// Abandon ends everything that is remembered, because the process ends and it could not be
// recorded. Bad tokens that no provider is known to have heard of go to the feedback list.
func (l *Ledger) Abandon() {
	for _, e := range l.episodes {
		l.empty(e, crowded)
	}
	l.episodes = slices.DeleteFunc(l.episodes, isOver)
}

func isOver(e *episode) bool { return e.stage == over }

// watchList lets noticeList find e by p.
func (l *Ledger) watchList(e *episode, p pair) {
	e.list = &p
	l.lists[p.failed] = append(l.lists[p.failed], e)
}

// never is an instant that does not come.
const never instant = math.MaxInt64

// lasts is until when e is kept if nothing more happens.
func (l *Ledger) lasts(e *episode) instant {
	switch {
	case e.cause == reset && e.pending == 0:
		return e.base
	case e.cause == reset, e.stage < waiting, e.pending > 0:
		return never
	case e.live == 0 && (e.stage == judged || e.ran()):
		return e.base
	case e.habit.resends:
		return e.base + l.options.ProvenLife
	}
	return min(e.base+l.options.Life, max(e.base, e.habit.seen)+silence)
}

// expire judges and ends the episodes whose time has come.
func (l *Ledger) expire(t instant) {
	l.due = never
	for _, e := range l.episodes {
		last := l.lasts(e)
		if e.stage == waiting {
			if t >= min(e.closed+patience, last) {
				l.judge(e, t)
				last = l.lasts(e)
			} else {
				l.due = min(l.due, e.closed+patience)
			}
		}
		if t >= last {
			l.empty(e, outlived)
		} else {
			l.due = min(l.due, last)
		}
	}
	l.episodes = slices.DeleteFunc(l.episodes, isOver)
}
