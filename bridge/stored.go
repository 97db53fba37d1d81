package bridge

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/tombstones"
	"apnsbridge/store"
)

// lineDisk is a line's part of the spool, and what else of it lasts as long as it does.
type lineDisk struct {
	spool Spool
	line  store.Line
	key   [1]store.SpoolKey

	served health.Served
}

// lineOf names the part of the spool that is n's.
func lineOf(n *lane.Line) store.Line { return n.Disk().(*lineDisk).line }

// Waiting is lane.Disk's, and so are the methods below.
func (d *lineDisk) Waiting() int {
	if d.spool == nil {
		return 0
	}
	return d.spool.Waiting(d.line)
}

func (d *lineDisk) Queued(token []byte) bool { return d.spool.Queued(d.line, token) }

func (d *lineDisk) Return(it *lane.Item) { d.spool.Return(d.line, d.keyOf(it)...) }

func (d *lineDisk) Done(it *lane.Item) { d.spool.Done(d.line, d.keyOf(it)...) }

// keyOf gives the key of it, which is borrowed until the next call: the lane's lock
// is held.
func (d *lineDisk) keyOf(it *lane.Item) []store.SpoolKey {
	d.key[0] = store.SpoolKey{ID: it.ID, Queued: it.Queued(), Token: it.Token}
	return d.key[:]
}

// storedVersion begins the body of a notification in the spool. Integers are
// big-endian:
//
//	version u8 · priority u8 · taken, seconds since 1970: i64 · apns-id 16 bytes ·
//	expiration i64 · push type: length u8, text · payload
//
// Its topic is that of its line; what attempts have come to is in the record's flags.
const storedVersion = 2

const storedHead = 2 + 8 + 16 + 8

// appendBody writes down what is to be asked of APNs for n.
func appendBody(b []byte, n *notification) []byte {
	q := &n.Request
	b = append(b, storedVersion, q.Priority)
	b = binary.BigEndian.AppendUint64(b, uint64(n.taken/int64(time.Second)))
	b = append(b, q.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(q.Expiration))
	b = append(append(b, byte(len(q.PushType))), q.PushType...)
	return append(b, n.Payload()...)
}

var errStored = errors.New("it is of another version, or cut short")

// readBody makes a notification of what was written down, with a copy of its
// bytes. With an error it has an identity and nothing more.
func readBody(from *store.SpoolRecord) (*notification, error) {
	n := notifications.Get().(*notification)
	n.Item.ID, n.Flags, n.Expires = from.ID, lane.FlagsOf(from.Flags), from.Expires
	n.Flags.Amended, n.Flags.Renewed, n.Flags.Unlooked = false, false, 0 // the request is as it was at first
	if err := faultOf(from); err != nil {
		n.copy(from.Token, nil)
		return n, err
	}
	b, q := from.Body, &n.Request
	q.Priority, n.taken = b[1], int64(binary.BigEndian.Uint64(b[2:]))*int64(time.Second)
	copy(q.ID[:], b[10:])
	q.Expiration = int64(binary.BigEndian.Uint64(b[26:]))
	pushType, payload := b[storedHead+1:][:b[storedHead]], b[storedHead+1:][b[storedHead]:]
	q.PushType = string(pushType)
	n.copy(from.Token, payload)
	return n, nil
}

// faultOf is why a record cannot be read; nil: it can.
func faultOf(from *store.SpoolRecord) error {
	b := from.Body
	switch {
	case from.Broken != nil:
		return from.Broken
	case len(from.Token) == 0,
		len(b) < storedHead+1, b[0] != storedVersion, len(b) < storedHead+1+int(b[storedHead]),
		binary.BigEndian.Uint64(b[2:]) > math.MaxInt64/uint64(time.Second): // no time that a clock can be at
		return errStored
	}
	return nil
}

// bodies writes down what goes to the spool in one commit. It is the lane's
// goroutine's alone.
type bodies struct {
	arena  []byte
	ends   []int // of each item's body in arena; 0: not written yet
	record []store.SpoolRecord
}

// inFlight writes down those that may be with APNs, whose request may change: the
// lane's lock is held.
func (b *bodies) inFlight(batch []*lane.Item) {
	b.arena, b.ends = b.arena[:0], b.ends[:0]
	for _, it := range batch {
		if b.ends = append(b.ends, 0); it.Chained() {
			b.arena = appendBody(b.arena, of(it))
			b.ends[len(b.ends)-1] = len(b.arena)
		}
	}
}

// records gives what is to be put. It is borrowed until the next call of inFlight.
func (b *bodies) records(batch []*lane.Item) []store.SpoolRecord {
	b.record = b.record[:0]
	start := 0
	for i, it := range batch {
		key := store.SpoolKey{ID: it.ID, Queued: it.ToQueue(), Token: it.Token}
		r := store.SpoolRecord{SpoolKey: key, Expires: it.Expires}
		if r.Queued {
			r.Flags = it.SavedFlags().Bytes()
		}
		from, end := start, b.ends[i]
		if end > 0 { // inFlight has written these, one behind the other
			start = end
		} else {
			from = len(b.arena)
			b.arena = appendBody(b.arena, of(it))
			end = len(b.arena)
		}
		r.Body = b.arena[from:end:end]
		b.record = append(b.record, r)
	}
	return b.record
}

// marked reports whether n may have a tombstone: not if its identifier is that of the
// client's frame before it, for then it names no one frame.
func (n *notification) marked() bool { return n.session != nil && n.named }

// tombstone is the key of n's.
func (n *notification) tombstone() uint64 {
	return tombstones.Key(n.session.app.name, n.session.origin.Client, n.identifier, n.Token(), n.Payload())
}

// bury notes what was put into the spool for the first time. Only the caller may
// change what is in batch.
func (b *Bridge) bury(batch []*lane.Item) {
	if !b.tombs.Written() {
		return
	}
	var keys []uint64
	for _, it := range batch {
		if n := of(it); it.ID == 0 && n.marked() {
			keys = append(keys, n.tombstone())
		}
	}
	b.tombs.Add(keys...)
}

// exhume notes, before n's provider is told, that n was not delivered though it was put
// into the spool.
func (b *Bridge) exhume(n *notification) {
	if !b.tombs.Written() || !n.marked() {
		return
	}
	n.lane.mu.Lock()
	stored := n.ID != 0
	n.lane.mu.Unlock()
	if stored {
		n.named = false
		b.tombs.Withdraw(n.tombstone())
	}
}
