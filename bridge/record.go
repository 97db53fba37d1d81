package bridge

import (
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// record is one notification on its way: the only copy that is made of it. It
// belongs to the session's window from Push until it has settled and left, and
// then goes back to the pool. In between one owner at a time works on it: the
// device's chain, the upstream's queue, the room where retries wait, or the
// feedback writer.
type record struct {
	session *Session
	seq     conversation.Seq

	bytes         []byte // token, then payload
	tokenSize     int
	layout        binproto.Layout
	identifier    uint32
	hasIdentifier bool
	command       binproto.Command

	request request
	expires int64 // the second from which it need not be sent any more; 0 never
	plan    plan
	sent    time.Time // when the last attempt began, in whole milliseconds
	bearer  string    // the JWT of the last attempt
	dead    time.Time // with the feedback writer: since when; zero if the device is alive
	left    bool      // has left the window; only the feedback writer still has it

	behind *record // the next for the same device, once this one is through
	queued *record // the next in the upstream's queue
}

func (r *record) token() []byte   { return r.bytes[:r.tokenSize] }
func (r *record) payload() []byte { return r.bytes[r.tokenSize:] }

// recordOverhead is what a record costs besides the bytes of the notification,
// with its places in window and queues.
const recordOverhead = 512

// size is what the record counts for against queued_bytes.
func (r *record) size() int64 { return int64(recordOverhead + len(r.bytes)) }

var records = sync.Pool{New: func() any { return new(record) }}

// newRecord copies n. What n borrows is free afterwards.
func newRecord(s *Session, n *binproto.Notification) *record {
	r := records.Get().(*record)
	bytes := append(r.bytes[:0], n.Token...)
	*r = record{
		session: s, bytes: append(bytes, n.Payload...), tokenSize: len(n.Token),
		layout: n.Layout, identifier: n.Identifier, hasIdentifier: n.HasIdentifier, command: n.Command,
	}
	return r
}

// release gives the record back. Nobody may hold it any more.
func (r *record) release() {
	*r = record{bytes: r.bytes[:0]}
	records.Put(r)
}

// begin says whether an attempt is to be made, and notes that it begins. If
// not, the record is through and the upstream must not touch it again.
func (r *record) begin() bool {
	s := r.session
	now := s.bridge.now()
	switch {
	case r.plan.attempts == 0 && !s.tail.wants():
		s.app.counters.droppedBehind.Add(1)
	case !due(r.expires, now):
		s.app.counters.expired.Add(1)
	default:
		r.plan.attempts++
		r.sent = now.Truncate(time.Millisecond).UTC()
		return true
	}
	s.app.through(r, binproto.NoError)
	return false
}
