package provider

import (
	"time"

	"apnsbridge/binproto"
)

// history remembers notifications from the moment they are taken until they are
// known to be accepted or are forgotten: first those that were written on the
// present connection and may have to be sent again, then those that were not
// written yet. Indices count what Send has taken, from 0.
//
//	oldest ≤ first ≤ next ≤ end  while all of the connection is remembered
//	first < oldest ≤ next        if the connection's first are forgotten
//
// It knows neither lock nor clock.
type history struct {
	slots  []sent // ring: notification i is in slots[i%limit]
	limit  int
	oldest int // the oldest that is remembered
	first  int // the first that was written on the present connection
	next   int // the next to be written
	end    int // the next to be taken
}

// sent is one notification. Its bytes are reused for one a full ring later.
type sent struct {
	frame      []byte
	token      []byte
	identifier uint32
	identified bool
}

// put takes a notification, if there is room. Half of the ring is kept for what
// was written, so that an error packet finds something to send again.
func (h *history) put(n *binproto.Notification) bool {
	if h.end-h.next >= max(h.limit/2, 1) {
		return false
	}
	if h.end-h.oldest == h.limit {
		h.oldest++ // which is written: not half of the ring is not
	}
	if len(h.slots) < h.limit {
		h.slots = append(h.slots, sent{})
	}
	s := h.at(h.end)
	s.frame = n.Append(s.frame[:0])
	s.token = append(s.token[:0], n.Token...)
	s.identifier = n.Identifier
	s.identified = n.HasIdentifier && n.Command != binproto.Simple
	h.end++
	return true
}

func (h *history) at(index int) *sent { return &h.slots[index%h.limit] }

// unwritten appends frames to be written to b until it has at least size bytes, or one has
// to wait for its turn: for so long.
func (h *history) unwritten(b []byte, size int, turn func() time.Duration) (_ []byte, wait time.Duration) {
	for i := h.next; i < h.end && len(b) < size; i++ {
		if wait = turn(); wait > 0 {
			break
		}
		b = append(b, h.at(i).frame...)
	}
	return b, wait
}

// wrote says that the first n bytes of what unwritten gave are on their way. It
// returns the number of whole frames among them.
func (h *history) wrote(n int) int {
	before := h.next
	for h.next < h.end && n >= len(h.at(h.next).frame) {
		n -= len(h.at(h.next).frame)
		h.next++
	}
	return h.next - before
}

// reconnect begins another connection. What was written on the one before is
// forgotten.
func (h *history) reconnect() { h.oldest, h.first = h.next, h.next }

// find looks for a notification of the present connection by its identifier. Of
// several it takes the first: what is sent twice is better than what is lost.
func (h *history) find(identifier uint32) (index int, ok bool) {
	for i := max(h.oldest, h.first); i < h.next; i++ {
		if s := h.at(i); s.identified && s.identifier == identifier {
			return i, true
		}
	}
	return 0, false
}

// rewind has everything from index on written again.
func (h *history) rewind(index int) { h.next = index }

// forgotten is how many of the present connection's notifications are no longer
// remembered, if those could have been found at all.
func (h *history) forgotten() int {
	if h.oldest <= h.first || h.oldest >= h.next || !h.at(h.oldest).identified {
		return 0
	}
	return h.oldest - h.first
}
