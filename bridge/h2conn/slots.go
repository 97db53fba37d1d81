package h2conn

import "math"

// A slot is a stream that is open: a request on its way and what came back.
type slot struct {
	id     uint32 // 0: free
	req    *Request
	whole  uint64 // the place behind its last byte in all that the connection writes, 0 while a part of the body waits
	sent   int    // bytes of the body
	window int64  // bytes the server allows the body; may be negative
	queued bool   // in line for the connection's window

	resp    *Response
	headed  bool  // the final header has come; only body and trailers may follow
	padding int32 // bytes of it that were received and not given back
	credit  int64 // bytes the server may still send
	promise int64 // content-length, -1 if not given
}

// never is a deadline that does not come.
const never = math.MaxInt64

// maxStreamID is the highest stream identifier (RFC 9113, 5.1.1).
const maxStreamID = 1<<31 - 1

// slots finds streams by identifier in a fixed array, without a map. Identifiers
// whose place is taken by a slow stream are left out, which RFC 9113, 5.1.1
// allows: they count as closed.
type slots struct {
	at       []slot // length is a power of two
	deadline []int64
	earliest int64 // no deadline is before it
	open     int
	next     uint32 // the identifier to be tried next
}

func newSlots(maxStreams int) slots {
	n := 16
	for n < 2*maxStreams {
		n *= 2
	}
	return slots{at: make([]slot, n), deadline: make([]int64, n), earliest: never, next: 1}
}

func (t *slots) place(id uint32) int { return int(id>>1) & (len(t.at) - 1) }

// find returns the open stream, or nil.
func (t *slots) find(id uint32) *slot {
	if s := &t.at[t.place(id)]; s.id == id && id != 0 {
		return s
	}
	return nil
}

// add opens a stream, or returns nil when there is no identifier left. The
// caller sees to it that fewer streams are open than there are places.
func (t *slots) add(deadline int64) *slot {
	for ; t.next <= maxStreamID; t.next += 2 {
		i := t.place(t.next)
		if t.at[i].id != 0 {
			continue
		}
		t.at[i] = slot{id: t.next, promise: -1}
		t.deadline[i] = deadline
		t.earliest = min(t.earliest, deadline)
		t.open++
		t.next += 2
		return &t.at[i]
	}
	return nil
}

func (t *slots) remove(s *slot) {
	*s = slot{}
	t.open--
}

// all calls f for every open stream; f may remove it.
func (t *slots) all(f func(s *slot)) {
	for i := range t.at {
		if t.at[i].id != 0 {
			f(&t.at[i])
		}
	}
}
