package conversation

// maxNotes is how many frames taken elsewhere are noted while an episode is
// open.
const maxNotes = 4096

// note is a frame that was taken on another connection while an episode was
// open. Its original may still lie unread on the connection that failed.
type note struct {
	key    key
	frame  name
	habit  *habit
	conn   uint64 // its number
	paired uint64 // with an original on this one; 0: not yet

	positional bool // its connection was
}

// notes is a ring: the latest maxNotes frames.
type notes struct {
	ring   []note
	first  uint64 // ordinal of the oldest
	packet uint64 // of the first since the latest packet
}

func (n *notes) count() uint64 { return n.first + uint64(len(n.ring)) }

// add returns by how many notes n has grown.
func (n *notes) add(x note) int {
	was := len(n.ring)
	if was == maxNotes {
		// Half at a time, so that a note costs little.
		n.first += maxNotes / 2
		n.ring = append(n.ring[:0], n.ring[maxNotes/2:]...)
	}
	n.ring = append(n.ring, x)
	return len(n.ring) - was
}

// sincePacket are the notes since the latest packet.
func (n *notes) sincePacket() []note { return n.ring[max(n.packet, n.first)-n.first:] }

// clear returns how many notes there were.
func (n *notes) clear() int {
	was := len(n.ring)
	n.first = n.count()
	n.ring = nil
	return was
}

// othersRead reports whether another connection of the client is being read behind
// its packet.
func (c *Conn) othersRead() bool {
	others := c.ledger.open
	if c.episode != nil && c.episode.stage == reading {
		others--
	}
	return others > 0
}

// noted reports whether a frame with the content k may have come in an earlier round on
// c, and is noted: rounds without end must not push out what else there is. Notes from
// before the latest packet do not count: for its connection they are too old.
func (c *Conn) noted(k key, t instant) bool {
	if c.episode == nil || !c.episode.mayComeInRounds(t) {
		return false
	}
	for _, n := range c.ledger.notes.sincePacket() {
		if n.conn == c.number && n.key == k {
			return true
		}
	}
	return false
}

// pairEarly recognises the late original of a frame that has overtaken it. It is
// to be swallowed, and not remembered: it has been sent again already. One that comes
// in rounds may come on the failed connection several times.
func (c *Conn) pairEarly(s Seq, k key, h *habit, t instant) bool {
	l, f := c.ledger, c.window.At(s).frame
	late := original{frame: f.name(), habit: h, constant: c.window.At(s).repeats, positional: c.numbered}
	for i := range l.notes.ring {
		n := &l.notes.ring[i]
		again := n.paired == c.number && c.episode.mayComeInRounds(t)
		if n.key != k || n.conn == c.number || n.paired != 0 && !again || l.notes.first+uint64(i) < c.episode.since {
			continue
		}
		like := late.resent(Frame{Identifier: n.frame.identifier, HasIdentifier: n.frame.has}, n.habit)
		if like == alike || like == countedOn || like == inOrder && n.positional {
			n.paired = c.number
			return true
		}
	}
	return false
}
