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

// lineDisk is a line's part of the spool, and other state that lasts as long as the line.
type lineDisk struct {
	spool Spool
	line  store.Line
	key   [1]store.SpoolKey

	served health.Served
}

// lineOf names the part of the spool that belongs to n.
func lineOf(n *lane.Line) store.Line { return n.Disk().(*lineDisk).line }

// Waiting and the methods below implement lane.Disk.
func (d *lineDisk) Waiting() int {
	if d.spool == nil {
		return 0
	}
	return d.spool.Waiting(d.line)
}

func (d *lineDisk) Queued(token []byte) bool { return d.spool.Queued(d.line, token) }

func (d *lineDisk) Return(it *lane.Item) { d.spool.Return(d.line, d.keyOf(it)...) }

func (d *lineDisk) Done(it *lane.Item) { d.spool.Done(d.line, d.keyOf(it)...) }

// keyOf gives the key of an item. It is valid until the next call. The caller holds the
// lane's lock.
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
// The topic is that of the line, and what attempts have led to is in the record's flags.
const storedVersion = 2

const storedHead = 2 + 8 + 16 + 8

// appendBody appends the body of n: what the request to APNs needs.
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

// readBody makes a notification of a record, with a copy of its bytes. With an error the
// notification has an identity and nothing more.
func readBody(from *store.SpoolRecord) (*notification, error) {
	n := notifications.Get().(*notification)
	n.Item.ID, n.Flags, n.Expires = from.ID, lane.FlagsOf(from.Flags), from.Expires
	n.Flags.Amended, n.Flags.Renewed = false, false // the request is the original one
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

// faultOf is why a record cannot be read; nil if it can.
func faultOf(from *store.SpoolRecord) error {
	b := from.Body
	switch {
	case from.Broken != nil:
		return from.Broken
	case len(from.Token) == 0,
		len(b) < storedHead+1, b[0] != storedVersion, len(b) < storedHead+1+int(b[storedHead]),
		binary.BigEndian.Uint64(b[2:]) > math.MaxInt64/uint64(time.Second): // not a time that a clock can show
		return errStored
	}
	return nil
}

// bodies encodes what goes to the spool in one commit. Only the lane's goroutine uses it.
type bodies struct {
	arena  []byte
	ends   []int // of each item's body in arena; 0: not written yet
	record []store.SpoolRecord
}

// inFlight encodes the items that may be with APNs and whose request may therefore change.
// The caller holds the lane's lock.
func (b *bodies) inFlight(batch []*lane.Item) {
	b.arena, b.ends = b.arena[:0], b.ends[:0]
	for _, it := range batch {
		if b.ends = append(b.ends, 0); it.Chained() {
			b.arena = appendBody(b.arena, of(it))
			b.ends[len(b.ends)-1] = len(b.arena)
		}
	}
}

// records gives the records of a batch. They are valid until the next call of inFlight.
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
		if end > 0 { // inFlight has encoded these, one after the other
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

// marked reports whether n may have a tombstone. It may not if its identifier is also that of
// the client's frame before it, for then the identifier does not tell the two apart.
func (n *notification) marked() bool { return n.session != nil && n.named }

// tombstone is the key of the tombstone of n.
func (n *notification) tombstone() uint64 {
	return tombstones.Key(n.session.app.name, n.session.origin.Client, n.identifier, n.Token(), n.Payload())
}

// bury makes tombstones for what was put into the spool for the first time. Nothing else may
// change the items of batch meanwhile.
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

// exhume takes back the tombstone of n before its provider is told that n was not delivered,
// although it was put into the spool.
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
