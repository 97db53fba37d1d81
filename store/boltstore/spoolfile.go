package boltstore

import (
	"context"
	"time"

	"go.etcd.io/bbolt"
)

// prepare reads what is in the file: all of it, so that later nothing in it is a
// surprise.
func (s *Spool) prepare() error {
	if err := s.file.prepare(prepareVersion, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(spoolBucket)
		return err
	}); err != nil {
		return err
	}
	var empty [][]byte
	// For reading only: a transaction that writes keeps each bucket it has seen.
	if err := s.file.view(context.Background(), func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		s.last = root.Sequence()
		return root.ForEach(func(name, v []byte) error {
			if v != nil || len(name) > maxQueue {
				return damage("a queue's name has %d bytes", len(name))
			}
			blobs, err := s.prepareQueue(root.Bucket(name), string(name))
			if blobs == 0 {
				empty = append(empty, append([]byte(nil), name...))
			}
			return err
		})
	}); err != nil || len(empty) == 0 {
		return err
	}
	return s.file.prepare(func(tx *bbolt.Tx) error {
		for _, name := range empty {
			if err := tx.Bucket(spoolBucket).DeleteBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// prepareQueue counts what is in a queue.
func (s *Spool) prepareQueue(q *bbolt.Bucket, name string) (blobs int, err error) {
	var last []byte // key of a blob
	err = q.ForEach(func(key, v []byte) error {
		if v != nil { // a bitmap, of which coldBlob makes sure
			if last == nil || string(key) != string(last)+"d" {
				return damage("a bitmap is under %x", key)
			}
			return nil
		}
		if len(key) != 8 || u64(key) == 0 || u64(key) > s.last {
			return damage("a blob is under %x", key)
		}
		last = key
		blobs++
		value := blobIn(q, u64(key))
		_, b, err := s.coldBlob(q, name, u64(key), value)
		if err != nil {
			return err
		}
		if b.over() {
			return damage("blob %d has nothing left", b.number)
		}
		s.held.addCold(s.held.queue(name), b.number, b.free(), b.cost, b.latest)
		return nil
	})
	return blobs, err
}

// sweepBlobs is how many blobs leave in a sweep, at most.
const sweepBlobs = 10_000

// sweep has leave the cold blobs that have expired, to make room.
func (s *Spool) sweep(ctx context.Context, now time.Time) error {
	defer s.reading()()
	var swept []*blob
	var names []string
	var next uint64 // the second in which another can be swept
	err := s.file.view(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		return root.ForEachBucket(func(name []byte) error {
			q, queue := root.Bucket(name), string(name)
			return q.ForEachBucket(func(key []byte) error {
				number := u64(key)
				if s.isKnown(queue, number) {
					return nil
				}
				value := blobIn(q, number)
				h, err := readHeader(value)
				if err != nil || h.latest == 0 {
					return err
				}
				if h.latest > seconds(now) || len(swept) == sweepBlobs {
					if next == 0 || h.latest < next {
						next = h.latest
					}
					return nil
				}
				_, b, err := s.coldBlob(q, queue, number, value)
				swept, names = append(swept, b), append(names, queue)
				return err
			})
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range swept {
		s.held.warm(s.held.queues[names[i]], b)
		s.held.expire(b)
	}
	s.held.sweepAt = next
	s.flushSoon()
	return nil
}

// isKnown says whether memory knows a blob, which is there: it is cold else.
func (s *Spool) isKnown(queue string, number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.held.queues[queue]
	return q != nil && q.has(number)
}
