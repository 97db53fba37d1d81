package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"apnsbridge/store/boltstore/seglog"
)

// queues is queues.db:
//
//	meta      version · u32; salt · u32
//	queues    its sequence is the last ID that was given; a bucket by name of a line:
//	            u16 len(token) · token · u64 ID → frame
type queues struct {
	*file
	devices deviceIndex
	viewing sync.RWMutex // by who reads: what is deleted stays held until no one sees it any more; before mu
	moved   []uint64     // in order: IDs that may be in the log as well, and are done there; until it is open
}

// queueEnd is a record that is done.
type queueEnd struct {
	name string
	key  []byte
	id   uint64
}

const (
	queuesFileName = "queues.db"
	spoolDir       = "spool"
	spoolVersion   = 2
	emptyMax       = 16 << 20 // bytes of a file with nothing in it
	maxEnded       = 1024     // records that are deleted in a transaction
)

var (
	queuesBucket = []byte("queues")
	saltKey      = []byte("salt")
)

func queueKey(token []byte, id uint64) []byte {
	b := make([]byte, 0, 2+len(token)+8)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(token))), token...)
	return appendU64(b, id)
}

// splitKey takes a key apart.
func splitKey(key []byte) (token []byte, id uint64, ok bool) {
	if len(key) < 10 || int(binary.BigEndian.Uint16(key)) != len(key)-10 {
		return nil, 0, false
	}
	return key[2 : len(key)-8], u64(key[len(key)-8:]), true
}

// openQueues opens queues.db, and counts what is in it. If it is damaged a new one
// takes its place, or it is left as it is.
func (s *Spool) openQueues(leave bool) error {
	open := func() error {
		f, err := openFile(s.path(queuesFileName), s.now, leave)
		if err != nil {
			return err
		}
		s.queues = &queues{file: f, devices: deviceIndex{sizes: make(map[uint64]int64)}}
		if err := f.prepare(prepareVersion(spoolVersion), s.prepareQueues, s.countQueues); err != nil {
			return f.refuse(err)
		}
		go f.write()
		return nil
	}
	err := open()
	switch {
	case errors.As(err, &s.aside):
		clear(s.lines)
		s.lastID, s.queued = 0, 0
		err = open()
	case err == nil && len(s.lines) == 0 && s.queues.size() > emptyMax:
		lastID := s.lastID // a bbolt file does not shrink by itself
		if err = errors.Join(s.queues.close(), os.Remove(s.path(queuesFileName))); err == nil {
			err = open()
		}
		s.lastID, s.begins = lastID, false
	}
	return err
}

func (s *Spool) prepareQueues(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucketIfNotExists(queuesBucket); err != nil {
		return err
	}
	meta := tx.Bucket(metaBucket)
	if b := meta.Get(saltKey); len(b) == 4 {
		s.salt = u32(b)
		return nil
	}
	s.begins = true
	s.salt = 1 + rand.Uint32N(1<<32-1)
	return meta.Put(saltKey, appendU32(nil, s.salt))
}

func (s *Spool) countQueues(tx *bbolt.Tx) error {
	root := tx.Bucket(queuesBucket)
	s.lastID = root.Sequence()
	if err := root.ForEachBucket(func(name []byte) error {
		l, ok := parseLine(string(name))
		if !ok {
			return damage("a line's name has %d bytes", len(name))
		}
		n := s.line(l)
		return root.Bucket(name).ForEach(func(key, value []byte) error {
			token, id, ok := splitKey(key)
			if !ok {
				return damage("a key has %d bytes", len(key))
			}
			size := seglog.ValueSize(value)
			s.lastID = max(s.lastID, id)
			s.queues.devices.add(s.device(n, token), size)
			n.queued++
			n.bytes += size
			s.queued += size
			f, ok := seglog.ReadFrame(value, s.salt)
			if ok {
				n.seen(int64(f.Put))
			}
			if !ok || f.Kind == seglog.Moved {
				s.queues.moved = append(s.queues.moved, id)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	slices.Sort(s.queues.moved)
	return nil
}

// enqueue does what w has for queues.
func (s *Spool) enqueue(w *put) error {
	if err := s.log.KeepRoom(); err != nil {
		return err
	}
	return s.queues.update(context.Background(), func(tx *bbolt.Tx) error {
		now := s.now()
		root := tx.Bucket(queuesBucket)
		if err := s.saveLastID(root); err != nil {
			return err
		}
		for n, r := range w.records(true) {
			b, err := root.CreateBucketIfNotExists([]byte(n.Name))
			if err != nil {
				return err
			}
			key, kind, r := queueKey(r.Token, r.ID), seglog.InQueue, *r
			if r.ID < w.log.First {
				kind = seglog.Moved
			}
			if old := b.Get(key); old != nil { // its flags are rewritten
				f, ok := seglog.ReadFrame(old, s.salt)
				before := f.Record(old)
				if !ok || before.Broken != nil {
					continue // an error would be that of all who share the transaction
				}
				kind, r.Expires, r.Body = f.Kind, before.Expires, before.Body
			}
			value := make([]byte, 0, seglog.FrameSize(len(n.Name), len(r.Token), len(r.Flags)+len(r.Body)))
			if err := b.Put(key, seglog.AppendFrame(value, s.salt, kind, n.Name, now, &r)); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
}

func (s *Spool) saveLastID(root *bbolt.Bucket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return root.SetSequence(max(s.lastID, root.Sequence()))
}

// deviceIndex is how many bytes devices have in their queues, by hashes: two can
// share one.
type deviceIndex struct {
	mu    sync.RWMutex
	sizes map[uint64]int64
}

func (x *deviceIndex) bytes(device uint64) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.sizes[device]
}

func (x *deviceIndex) add(device uint64, n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sizes[device] += n; x.sizes[device] <= 0 {
		delete(x.sizes, device)
	}
}
