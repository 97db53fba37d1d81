package conversation

import (
	"math"
	"slices"
)

// episode is what stands behind one packet on one connection: the frames that
// the provider will send again, if it is one that does.
type episode struct {
	number   int64 // nanoseconds since 1970 at the packet, made unique
	cause    cause
	habit    *habit // of the kind that wrote the failed frame
	conn     *Conn  // until it has gone
	failure  *refusal
	before   key // of the frame before the failed one
	failed   key
	listed   bool // before and failed are known
	numbered bool // the connection was positional, see Conn.count

	open     bool    // the provider has not ended the connection
	doubtful bool    // it ended before it can have read the packet
	packet   instant // when it was decided on
	closed   instant
	base     instant // latest of packet, original settled, closed
	since    uint64  // ordinal of the first note taken after the packet

	entries []*entry // in the order of the frames; nil once used or given up
	live    int      // entries that can still swallow
	pending int      // entries whose original has no verdict
	matched int
	died    int // entries whose original made them pointless
	exempt  int // entries that a provider need not send again: the one a status 10 names
	ran     bool
	judged  bool
	stored  bool // a Record of it was handed out
	unsaved bool // and it has changed since
	over    bool
}

// cause is what began an episode.
type cause uint8

const (
	failure  cause = iota // a notification that failed
	shutdown              // status 10
	reset                 // no packet: the connection broke
)

// begin opens an episode on c.
func (l *Ledger) begin(c *Conn, why cause, h *habit, t instant) *episode {
	number := max(l.epoch.Add(t).UnixNano(), l.lastNumber+1)
	l.lastNumber = number
	e := &episode{
		number: number, cause: why, habit: h, conn: c, numbered: c.numbered, packet: t, base: t,
		open: why != reset, closed: t, judged: why == reset, since: l.notes.count(),
	}
	l.episodes = append(l.episodes, e)
	l.account(episodeBytes)
	if e.open {
		l.open++
	}
	return e
}

// remember adds the notification at s of c to ep, which is told its verdict.
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

// enter puts e behind the others of ep, its verdict still out. It returns nil
// if there is no room.
func (l *Ledger) enter(ep *episode, e *entry) *entry {
	if !l.fits(entryBytes) && !l.makeRoom() {
		l.stats.Evicted++
		return nil
	}
	e.episode, e.index = ep, int32(len(ep.entries))
	ep.entries = append(ep.entries, e)
	ep.pending++
	l.stats.Remembered++
	l.index(e)
	return e
}

// close says that the provider has ended the connection of e.
func (l *Ledger) close(e *episode, t instant) {
	if !e.open {
		return
	}
	e.open, e.closed, e.base = false, t, max(e.base, t)
	l.due = min(l.due, t+min(patience, l.options.Life))
	if l.open--; l.open == 0 {
		l.account(-noteBytes * int64(l.notes.clear()))
	}
}

// empty ends e, which is then to be taken off the list.
func (l *Ledger) empty(e *episode) {
	l.close(e, e.closed)
	for _, old := range e.entries {
		if old.live() {
			l.giveUp(old)
		}
	}
	if e.conn != nil && e.conn.episode == e {
		e.conn.episode, e.conn.newest = nil, nil
	}
	e.entries = nil
	l.account(-episodeBytes)
	if e.stored {
		l.out.put(Decision{Do: Persist, Records: []Record{{Key: l.episodeKey(e)}}})
	}
	if e.listed {
		if l.lists[e.failed] = slices.DeleteFunc(l.lists[e.failed], func(x *episode) bool { return x == e }); len(l.lists[e.failed]) == 0 {
			delete(l.lists, e.failed)
		}
	}
	e.over = true
}

// list lets noticeList find e.
func (l *Ledger) list(e *episode) {
	e.listed = true
	l.lists[e.failed] = append(l.lists[e.failed], e)
}

// bury ends e: nothing is swallowed by it any more.
func (l *Ledger) bury(e *episode) {
	l.empty(e)
	l.episodes = slices.DeleteFunc(l.episodes, isOver)
}

func isOver(e *episode) bool { return e.over }

// forget ends e because the provider did not get the packet. Nothing will be
// sent again, and nobody has heard of the failure itself.
func (l *Ledger) forget(e *episode) {
	l.stats.Blind++
	if e.failure != nil {
		l.feedback(e.failure)
	}
	l.bury(e)
}

// never is an instant that does not come.
const never instant = math.MaxInt64

// end is when e is to be buried if no more is heard.
func (l *Ledger) end(e *episode) instant {
	switch {
	case e.cause == reset && e.pending == 0:
		return e.base
	case e.cause == reset, e.open, e.pending > 0, e.doubtful:
		return never
	case e.judged && e.live == 0:
		return e.base
	case e.habit.resends:
		return e.base + l.options.ProvenLife
	}
	return min(e.base+l.options.Life, max(e.base, e.habit.seen)+silence)
}

// expire judges and buries the episodes whose time has come.
func (l *Ledger) expire(t instant) {
	l.due = never
	for _, e := range l.episodes {
		if !e.open && !e.judged && !e.doubtful {
			if t >= e.closed+patience {
				l.judge(e, t)
			} else {
				l.due = min(l.due, e.closed+patience)
			}
		}
		end := l.end(e)
		if t >= end {
			l.stats.ExpiredUnused += uint64(e.live)
			l.empty(e)
		} else {
			l.due = min(l.due, end)
		}
	}
	l.episodes = slices.DeleteFunc(l.episodes, isOver)
}
