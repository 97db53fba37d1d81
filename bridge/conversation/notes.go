package conversation

import "iter"

// maxNotes is how many frames on other connections are noted while an episode is open. A
// tail of up to this length that is sent again over another connection is noted whole.
const maxNotes = 12_288

// note is a frame that was taken on another connection while an episode was
// open. Its original may still lie unread on the connection that failed.
type note struct {
	key    key
	frame  name
	habit  *habit
	conn   uint64 // its number
	paired uint64 // number of the connection on which its original has come; 0: not yet
	older  uint64 // one more than the ordinal of the latest before it with the same key; 0: none

	glimpse *glimpse // of its connection, until the next frame there

	positional bool // its connection was
}

// notes is a ring: the latest maxNotes frames.
type notes struct {
	ring   []note
	latest map[key]uint64 // one more than the ordinal of the latest with the key
	first  uint64         // ordinal of the oldest
	packet uint64         // ordinal of the first since the latest packet
}

func (n *notes) count() uint64 { return n.first + uint64(len(n.ring)) }

// add returns by how many notes n has grown.
func (n *notes) add(x note) int {
	was := len(n.ring)
	if was == maxNotes {
		n.forget(maxNotes / 2) // many at a time, so that each note costs little
	}
	if n.latest == nil {
		n.latest = make(map[key]uint64)
	}
	x.older = n.latest[x.key]
	n.ring = append(n.ring, x)
	n.latest[x.key] = n.count()
	return len(n.ring) - was
}

// forget drops the m oldest notes.
func (n *notes) forget(m int) {
	for i := range n.ring[:m] {
		if k := n.ring[i].key; n.latest[k] == n.first+uint64(i)+1 {
			delete(n.latest, k)
		}
	}
	n.first += uint64(m)
	n.ring = append(n.ring[:0], n.ring[m:]...)
}

// of gives the notes of the content k since the given ordinal, the latest first, and at most
// chainLimit of them.
func (n *notes) of(k key, since uint64) iter.Seq[*note] {
	return func(yield func(*note) bool) {
		next, oldest := n.latest[k], max(since, n.first)
		for seen := 0; next > oldest && seen < chainLimit; seen++ {
			x := &n.ring[next-1-n.first]
			if !yield(x) {
				return
			}
			next = x.older
		}
	}
}

// clear drops all notes, and returns how many there were.
func (n *notes) clear() int {
	was := len(n.ring)
	n.first = n.count()
	n.ring, n.latest = nil, nil
	return was
}

// othersRead reports whether another connection of the client is being read behind its
// packet.
func (c *Conn) othersRead() bool {
	others := c.ledger.open
	if c.episode != nil && c.episode.stage == reading {
		others--
	}
	return others > 0
}

// noted reports whether a frame with the content k from an earlier round on c is noted.
// Notes from before the latest packet do not count: they are too old for its connection.
func (c *Conn) noted(k key) bool {
	notes := &c.ledger.notes
	for n := range notes.of(k, notes.packet) {
		if n.conn == c.number {
			return true
		}
	}
	return false
}

// addNote notes a frame, if there is room.
func (l *Ledger) addNote(n note) {
	if l.noteRoom() {
		l.account(noteBytes * int64(l.notes.add(n)))
	}
}

// leaveNotes makes notes of what e remembers instead of notes. e is about to end, and was
// behind a packet on c.
func (l *Ledger) leaveNotes(e *episode, c *Conn) {
	for _, x := range e.entries {
		if x.live() && x.noteless && l.open > 0 {
			l.addNote(note{
				key: x.key, frame: x.frame, habit: x.habit, conn: c.number, glimpse: new(glimpse), positional: e.positional,
			})
		}
	}
}

// pairEarly recognises the late original of a frame that has overtaken it. The original is
// swallowed and not remembered, for it was sent again already. One that comes in rounds,
// under its own identifier or under new ones, may come on the failed connection several
// times.
func (c *Conn) pairEarly(s Seq, k key, h *habit, t instant) bool {
	l, f := c.ledger, c.window.At(s).frame
	late := original{frame: f.name(), habit: h, constant: c.window.At(s).repeats, positional: c.numbered}
	var first *note
	for n := range l.notes.of(k, c.episode.since) {
		same := late.frame == n.frame && late.frame.has && !late.constant
		again := n.paired == c.number && (same || c.episode.renamesInRounds()) && c.episode.mayComeInRounds(t)
		if n.conn == c.number || n.paired != 0 && !again {
			continue
		}
		like := late.resent(Frame{Identifier: n.frame.identifier, HasIdentifier: n.frame.has}, n.habit)
		if like == alike || like == namedAnew || like == inOrder && (n.positional || c.episode.renamed > 0) {
			first = n
		}
	}
	if first == nil {
		return false
	}
	first.paired = c.number
	first.glimpse.unmatched = false
	return true
}
