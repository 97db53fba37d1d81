package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// Action is what a Decision asks of the owner.
type Action uint8

// What the owner of a Ledger is asked to do, and the fields of Decision that go with it.
const (
	// Release: the content at Seq is no longer needed here.
	Release Action = iota + 1
	// Forward: the content at Seq was waiting for the verdict on an earlier
	// notification with the same content, which was not delivered. Send this one,
	// with Expiry, and Settle it.
	Forward
	// TakeOver: the content at Seq holds up a failure behind it. It has been
	// settled as accepted: deliver it on your own account, and never Settle it.
	// Its Release follows.
	TakeOver
	// Packet: write the Records, if any, then the error response of Status and
	// Identifier to Conn's provider, once it pauses in writing or Within is over.
	Packet
	// Close: end Conn's connection without a packet.
	Close
	// Feedback: put Token on the feedback list, refused by APNs at Time. The
	// token may be kept.
	Feedback
	// Persist: put the Records into the store when convenient.
	Persist
)

// Decision is one thing to do. Decisions are carried out in the order in which
// Ledger.Next gives them.
type Decision struct {
	Do         Action
	Status     binproto.Status
	Identifier uint32
	Expiry     uint32 // as in Frame
	Within     time.Duration
	Conn       *Conn // nil with Feedback and Persist
	Seq        Seq
	Content    Content
	Token      []byte
	Why        string // with Packet: APNs' word
	Device     Device // with Packet
	Time       time.Time
	Records    []Record
}

// Device is the beginning of a device token, as much as messages show of it; zero for no
// device.
type Device [4]byte

// queue holds decisions until they are asked for. Its memory is reused.
type queue struct {
	waiting []Decision
	first   int
}

func (q *queue) put(d Decision) { q.waiting = append(q.waiting, d) }

func (q *queue) next() (d Decision, ok bool) {
	if q.first == len(q.waiting) {
		return d, false
	}
	d = q.waiting[q.first]
	q.waiting[q.first] = Decision{}
	q.first++
	if q.first == len(q.waiting) {
		q.waiting, q.first = q.waiting[:0], 0
	}
	return d, true
}
