package boltstore

import (
	"bytes"
	"context"

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
