package boltstore

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"
)

// prepare reads what is in the file: all of it, so that later nothing in it is a
// surprise. It changes nothing in a damaged one.
func (s *Spool) prepare() error {
	var empty [][]byte
	// For reading only: a transaction that writes keeps each bucket it has seen.
	if err := s.file.view(context.Background(), func(tx *bbolt.Tx) (err error) {
		if err = checkVersion(tx); err == nil {
			empty, err = s.load(tx)
		}
		return err
	}); err != nil {
		return err
	}
	return s.file.prepare(prepareVersion, func(tx *bbolt.Tx) error {
		root, err := tx.CreateBucketIfNotExists(spoolBucket)
		for i := 0; i < len(empty) && err == nil; i++ {
			err = root.DeleteBucket(empty[i])
		}
		return err
	})
}

// load counts what is in all queues, and gives the names of those that are empty.
func (s *Spool) load(tx *bbolt.Tx) (empty [][]byte, err error) {
	root := tx.Bucket(spoolBucket)
	if root == nil {
		return nil, nil
	}
	s.last = root.Sequence()
	err = root.ForEach(func(name, v []byte) error {
		if v != nil || len(name) > maxQueue {
			return damage("a queue's name has %d bytes", len(name))
		}
		blobs, err := s.loadQueue(root.Bucket(name), string(name))
		if blobs == 0 {
			empty = append(empty, bytes.Clone(name))
		}
		return err
	})
	return empty, err
}

// loadQueue counts what is in a queue.
func (s *Spool) loadQueue(q *bbolt.Bucket, name string) (blobs int, err error) {
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
		if _, err := checkBlob(value); err != nil {
			return err
		}
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
				h, err := readHead(value)
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
