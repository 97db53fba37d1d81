package boltstore

import (
	"bytes"
	"context"
	"math"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// slabBytes is how much memory records share that are taken together.
const slabBytes = 16 << 10

// taking is one Take.
type taking struct {
	spool   *Spool
	queue   string
	limit   int   // records
	left    int64 // bytes
	full    bool
	early   bool // a blob was not yet in the file as it is read
	records []store.SpoolRecord
	slab    []byte
	busy    bitmap
	places  []int
}

// Take implements store.Spool.
func (s *Spool) Take(ctx context.Context, queue string, limit int, bytes int64) ([]store.SpoolRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.reading()()
	t := &taking{spool: s, queue: queue, limit: limit, left: bytes, full: limit <= 0}
	err := s.file.view(ctx, t.read)
	if err == nil && t.early && len(t.records) == 0 {
		t.early = false
		if err = s.file.view(ctx, t.read); err == nil && t.early {
			err = s.file.explain(damage("a blob of queue %q is gone", queue))
		}
	}
	if len(t.records) > 0 {
		return t.records, nil // an error comes again
	}
	return nil, err
}

// reading has nobody else read the file and nothing turn cold, until the function
// it gives is called.
func (s *Spool) reading() (end func()) {
	s.taking.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.read()
	return func() {
		s.mu.Lock()
		s.held.readNoMore()
		s.mu.Unlock()
		s.taking.Unlock()
	}
}

// read takes what there is in the file within tx.
func (t *taking) read(tx *bbolt.Tx) error {
	q := tx.Bucket(spoolBucket).Bucket([]byte(t.queue))
	for !t.full && !t.early {
		known, from := t.look()
		number, ok := from, false
		if q != nil && from != math.MaxUint64 {
			number, ok = t.firstCold(q, from, known)
		}
		var err error
		switch {
		case ok:
			err = t.takeCold(q, number)
		case known != nil:
			err = t.takeKnown(q, known)
		case from != math.MaxUint64:
			err = damage("queue %q has lost a blob", t.queue)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look gives the first known blob that has something to take, and from which
// number on there are cold ones.
func (t *taking) look() (known *blob, from uint64) {
	s := t.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.held.queues[t.queue]
	if q == nil {
		return nil, math.MaxUint64
	}
	return s.held.offered(q), q.from
}

// firstCold finds the first cold blob, if it stands before known.
func (t *taking) firstCold(q *bbolt.Bucket, from uint64, known *blob) (number uint64, ok bool) {
	c := q.Cursor()
	for key, _ := c.Seek(appendU64(nil, from)); key != nil; key, _ = c.Next() {
		if len(key) != 8 {
			continue // a bitmap
		}
		if number = u64(key); known != nil && number >= known.number {
			return 0, false
		}
		if !t.spool.isKnown(t.queue, number) {
			return number, true
		}
	}
	return 0, false
}

// takeKnown takes from a blob of which memory knows what is free.
func (t *taking) takeKnown(q *bbolt.Bucket, b *blob) error {
	value := blobIn(q, b.number)
	if value == nil {
		t.early = true
		return nil
	}
	s := t.spool
	s.mu.Lock()
	t.busy = append(t.busy[:0], b.outBits...)
	for i, w := range b.ended {
		t.busy[i] |= w
	}
	s.mu.Unlock()
	h, err := readHead(value)
	if err != nil {
		return err
	}
	if err := t.pick(h, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.take(b, t.places)
	return nil
}

// takeCold takes from a blob of which nobody has anything.
func (t *taking) takeCold(q *bbolt.Bucket, number uint64) error {
	s := t.spool
	value := blobIn(q, number)
	h, b, err := s.coldBlob(q, t.queue, number, value)
	if err != nil {
		return err
	}
	t.busy = append(t.busy[:0], b.ended...)
	if err := t.pick(h, value); err != nil || len(t.places) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.warm(s.held.queues[t.queue], b)
	s.held.take(b, t.places)
	return nil
}

// blobIn is the blob of a number in the bucket of its queue; nil if it is not there.
func blobIn(q *bbolt.Bucket, number uint64) []byte {
	if q == nil {
		return nil
	}
	b := q.Bucket(appendU64(nil, number))
	if b == nil {
		return nil
	}
	return b.Get(blobKey)
}

// coldBlob is what memory will know of a blob that is cold.
func (s *Spool) coldBlob(q *bbolt.Bucket, queue string, number uint64, value []byte) (h blobHead, b *blob, err error) {
	if h, err = readHead(value); err != nil {
		return h, nil, err
	}
	if h.number != number || !bytes.Equal(h.queue, []byte(queue)) {
		return h, nil, damage("blob %d of queue %q is where %d of %q should be", h.number, h.queue, number, queue)
	}
	b = newBlob(number, h.count, s.cost(h.size), h.latest)
	if err := readBitmap(q.Get(bitmapKey(appendU64(nil, number))), number, h.count, b.ended); err != nil {
		return h, nil, err
	}
	for i := range h.count {
		if h.emptied(i) {
			b.ended.add(i)
		}
	}
	b.done = b.ended.len()
	return h, b, nil
}

// pick copies the records of a blob that are not busy, as far as the limits go,
// and notes their places. It takes none of a blob that is damaged.
func (t *taking) pick(h blobHead, value []byte) error {
	before := len(t.records)
	t.places = t.places[:0]
	if h.size != len(value) {
		return damage("%d bytes are left of a blob of %d", len(value), h.size)
	}
	for i, r := range h.records(value) {
		if t.busy.has(i) {
			continue
		}
		if len(t.records) > 0 && int64(len(r.data)) > t.left {
			t.full = true
			break
		}
		if !r.whole() {
			t.records = t.records[:before]
			return damage("record %d of blob %d has a wrong checksum", i, h.number)
		}
		t.add(r, recordID(h.number, i))
		t.places = append(t.places, i)
		if t.full = len(t.records) == t.limit; t.full {
			break
		}
	}
	if len(t.places) == 0 && !t.full {
		return damage("blob %d has nothing left", h.number)
	}
	return nil
}

func (t *taking) add(r blobRecord, id uint64) {
	size := len(r.data)
	t.left -= int64(size)
	if cap(t.slab)-len(t.slab) < size {
		t.slab = make([]byte, 0, max(size, min(slabBytes, size*(t.limit-len(t.records)))))
	}
	var record store.SpoolRecord
	t.slab, record = r.copyTo(t.slab, id)
	t.records = append(t.records, record)
}
