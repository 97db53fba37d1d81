package pgstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"apnsbridge/store"
)

// batch is a row of a line's log as memory has it: which of its records are checked out and
// which have ended.
type batch struct {
	first   uint64
	records int
	cost    int64 // bytes
	soonest int64 // a lower bound of the expiries; 0: none expires
	since   int64

	hands, gone bitmap
	held, ended int  // bits set in hands and gone; a record is never in both
	changed     bool // it is in its line's changed
}

// Bounds of a row of the log.
const (
	batchRecords = 1024
	batchBytes   = 256 << 10 // from which on a row is full
	batchCost    = 96        // bytes of overhead of a row, besides heads and bodies
	queuedCost   = 96        // bytes of overhead of a row of a queue, besides token and body
)

func newBatch(first uint64, records int) *batch {
	return &batch{first: first, records: records, hands: newBitmap(records), gone: newBitmap(records)}
}

func (b *batch) waiting() int { return b.records - b.held - b.ended }

// at returns the index of a record, and whether it is checked out.
func (b *batch) at(id uint64) (i int, held bool) {
	i = int(id - b.first)
	return i, b.hands.has(i)
}

func (b *batch) waits(i int) bool { return !b.hands.has(i) && !b.gone.has(i) }

func (b *batch) take(i int) {
	b.hands.set(i)
	b.held++
}

func (b *batch) giveBack(i int) {
	b.hands.clear(i)
	b.held--
}

// end marks a record that is not checked out as gone.
func (b *batch) end(i int) {
	b.gone.set(i)
	b.ended++
}

// bitmap has a bit for each record of a batch, lowest bits first.
type bitmap []byte

func newBitmap(n int) bitmap { return make(bitmap, (n+7)/8) }

func (b bitmap) has(i int) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b bitmap) set(i int)      { b[i/8] |= 1 << (i % 8) }
func (b bitmap) clear(i int)    { b[i/8] &^= 1 << (i % 8) }
func (b bitmap) count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// head is a record without its body.
type head struct {
	token   []byte
	expires int64
	body    int // length of the body in bytes
}

func appendHead(b []byte, r *store.SpoolRecord) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Token)))
	b = append(b, r.Token...)
	b = binary.AppendUvarint(b, uint64(r.Expires))
	return binary.AppendUvarint(b, uint64(len(r.Body)))
}

var errHeads = errors.New("the row's heads cannot be read")

// decodeHeads reads the heads of n records. Tokens are borrowed from b.
func decodeHeads(b []byte, n int) (heads []head, err error) {
	number := func() (x uint64) {
		x, size := binary.Uvarint(b)
		if size <= 0 {
			err, b = errHeads, nil
			return 0
		}
		b = b[size:]
		return x
	}
	heads = make([]head, 0, min(n, len(b)))
	for range n {
		size := number()
		if err != nil || size > uint64(len(b)) {
			return nil, errHeads
		}
		h := head{token: b[:size:size]}
		b = b[size:]
		h.expires = int64(number())
		length := number()
		if err != nil || length > store.MaxSpoolBody || h.expires < 0 {
			return nil, errHeads
		}
		h.body = int(length)
		heads = append(heads, h)
	}
	if len(b) > 0 {
		return nil, errHeads
	}
	return heads, nil
}

// deviceKey is the key of a device in a queue: its token after the token's length.
func deviceKey(token []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(token)), uint16(len(token))), token...)
}

// checkRecord returns why a record can never be stored, nil if it can.
func checkRecord(r *store.SpoolRecord) error {
	switch {
	case len(r.Token) > store.MaxSpoolToken:
		return fmt.Errorf("%w: a token of %d bytes; %d are the most", store.ErrUnstorable, len(r.Token),
			store.MaxSpoolToken)
	case len(r.Body) > store.MaxSpoolBody:
		return fmt.Errorf("%w: a body of %d bytes; %d are the most", store.ErrUnstorable, len(r.Body),
			store.MaxSpoolBody)
	case r.Expires < 0:
		return fmt.Errorf("%w: it expires at %d", store.ErrUnstorable, r.Expires)
	case r.ID != 0 && !r.Queued:
		return fmt.Errorf("%w: record %d is to go into the log again", store.ErrUnstorable, r.ID)
	}
	return nil
}
