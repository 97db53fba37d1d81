package apnssim

import "time"

// event is something that a connection does later.
type event struct {
	at     time.Duration // since the connection began
	order  uint64        // of events at the same time
	what   happening
	stream *stream
	credit int
}

type happening uint8

const (
	answerStream  happening = iota // send the answer of stream, or go on with it
	returnCredit                   // give back credit bytes of the connection's window
	fixLastStream                  // the second GOAWAY of two
)

// maxDue bounds the events that a connection may have beyond one for each
// stream: those of streams that a client has given up stay until they are due.
const maxDue = 100_000

// schedule is a heap, the earliest event first.
type schedule struct {
	events []event
	order  uint64
}

func (h *schedule) before(i, j int) bool {
	a, b := &h.events[i], &h.events[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// push reports whether e is the earliest.
func (h *schedule) push(e event) (first bool) {
	h.order++
	e.order = h.order
	h.events = append(h.events, e)
	for i := len(h.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.before(i, parent) {
			return false
		}
		h.events[i], h.events[parent] = h.events[parent], h.events[i]
		i = parent
	}
	return true
}

func (h *schedule) peek() (e event, ok bool) {
	if len(h.events) == 0 {
		return event{}, false
	}
	return h.events[0], true
}

func (h *schedule) pop() event {
	first := h.events[0]
	last := len(h.events) - 1
	h.events[0] = h.events[last]
	h.events[last] = event{}
	h.events = h.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h.events[i], h.events[least] = h.events[least], h.events[i]
		i = least
	}
}
