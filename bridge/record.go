package bridge

import (
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/upstream"
)

// record is one notification on its way: the only copy that is made of it. Two
// hold it: the conversation, from Push until it gives it back, and whoever sees
// to its delivery, one at a time: the device's chain, the upstream's queue, the
// room where retries wait, or the feedback writer. When neither does any more it
// goes back to the pool.
type record struct {
	app         *app
	environment Environment // of the listener it came to

	session *Session
	seq     conversation.Seq

	holders int // under the client's lock

	upstream.Push        // Token and Payload are parts of bytes
	bytes         []byte // token, then payload

	// Of its shelf, and but for place under its lock.
	place   atomic.Uint32 // a place
	end     Environment   // of the shelf
	purpose purpose       // while it is spooling
	spoolID uint64        // on disk; 0: it is not
	ended   bool          // its delivery has, with outcome, while it was being stored
	outcome conversation.Outcome

	late bool // it arrived while others waited on disk
	turn bool // nothing that waits on disk comes before it

	expires int64 // the second from which it need not be sent any more; 0 never
	plan    plan

	admitted bool // may go though others wait at the gate

	behind *record // the next for the same device, once this one is through
	rests  bool    // of the last of a chain: its first does, see chains
	onDisk bool    // of the last of a chain: all of it are, so that one behind them may come to be
	rested bool    // it is the first of a chain, and rests
}

// Token is the device token. With Payload it makes the record a
// conversation.Content.
func (r *record) Token() []byte { return r.Push.Token }

// Payload is the payload as the provider wrote it.
func (r *record) Payload() []byte { return r.Push.Payload }

// recordOverhead is what a record costs besides the bytes of the notification,
// with its places in window and queues.
const recordOverhead = 512

// size is what the record counts for against queued_bytes.
func (r *record) size() int64 { return int64(recordOverhead + len(r.bytes)) }

var records = sync.Pool{New: func() any { return new(record) }}

// newRecord copies n. What n borrows is free afterwards.
func newRecord(s *Session, n *binproto.Notification) *record {
	r := records.Get().(*record)
	*r = record{app: s.app, environment: s.origin.Environment, session: s, bytes: r.bytes}
	r.copy(n.Token, n.Payload)
	return r
}

// copy makes token and payload those of r.
func (r *record) copy(token, payload []byte) {
	r.bytes = append(append(r.bytes[:0], token...), payload...)
	r.Push.Token, r.Push.Payload = r.bytes[:len(token)], r.bytes[len(token):]
	r.Owner = r
}

// replayed says that r was read from disk: its provider has no part in it any
// more.
func (r *record) replayed() bool { return r.session == nil }

// release says that the bridge answers for r from now on, and its provider will
// hear no more of it.
func (r *record) release() {
	if r.session != nil {
		r.session.release(r)
	}
}

// leave says that the delivery of r has ended so. Nobody touches r afterwards.
func (r *record) leave(o conversation.Outcome) {
	if r.session != nil {
		r.session.settled(r, o)
		return
	}
	a, size := r.app, r.size()
	r.free()
	a.account.give(size)
	a.bridge.settled(1)
}

// free gives the record's memory back. Nobody may hold it any more.
func (r *record) free() {
	*r = record{bytes: r.bytes[:0]}
	records.Put(r)
}

// begin says whether an attempt is to be made, and notes that it begins. If
// not, the record is through or held back, and the upstream must not touch it
// again.
func (r *record) begin() bool {
	a := r.app
	if a.waits(r) {
		return false
	}
	gate := a.gate(r)
	now := a.bridge.now()
	admitted := r.admitted
	r.admitted = false
	if a.spares(r, now) {
		if admitted {
			gate.wasted(now)
		}
		return false
	}
	r.admitted = admitted
	r.Attempts++
	r.Sent = now.Truncate(time.Millisecond).UTC()
	return true
}
