package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"sync"

	"go.etcd.io/bbolt"
)

// queues is queues.db:
//
//	meta    version · u32; salt · u32
//	queues  its sequence is the last ID that was given; a bucket by name of a line:
//	          u16 len(token) · token · u64 ID → frame
//	moved   u64 ID → nothing: it may be in the log as well, and is done there
//
// What has no comment is guarded by the spool's mu.
type queues struct {
	*file
	devices deviceIndex
	viewing sync.RWMutex // by who reads: what is deleted stays held until no one sees it any more; before mu
	ended   []queueEnd   // to be deleted
	moved   []uint64     // IDs in the bucket of that name
	settled []uint64     // of these, what the log knows to be done: to be deleted
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
	maxSettled     = 4096     // IDs that wait for another transaction
	emptyMax       = 16 << 20 // bytes of a file with nothing in it
)

var (
	queuesBucket = []byte("queues")
	movedBucket  = []byte("moved")
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

// valueSize is what a record in queues.db counts: as much as in the log, so that a
// move needs no room that it does not give back.
func valueSize(value []byte) int64 { return int64(max(frameMin, len(value)-flagsSize)) }

// enqueue does what w has for queues.
func (s *Spool) enqueue(w *put) error {
	return s.changeQueues(func(tx *bbolt.Tx) error {
		now := unix32(s.now())
		moved := tx.Bucket(movedBucket)
		var b *bbolt.Bucket
		for i, op := range w.ops {
			name := w.lines[op.batch].name
			if i == 0 || op.batch != w.ops[i-1].batch {
				var err error
				if b, err = tx.Bucket(queuesBucket).CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
			key, r := queueKey(op.r.Token, op.r.ID), *op.r
			switch op.kind {
			case opRewrite:
				old := b.Get(key)
				f, ok := readFrame(old, s.salt)
				if !ok || f.record(old).Broken != nil {
					continue // an error would be that of all who share the transaction
				}
				r.Expires, r.Body = f.expires, f.record(old).Body
			case opMove:
				if err := moved.Put(appendU64(nil, r.ID), nil); err != nil {
					return err
				}
			}
			value := make([]byte, 0, frameSize(len(name), len(r.Token), flagsSize+len(r.Body)))
			if err := b.Put(key, appendFrame(value, s.salt, queueFrame, name, now, &r, r.Flags[:])); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeQueues has fn, if there is one, change queues.db, with all that is done.
func (s *Spool) changeQueues(fn func(*bbolt.Tx) error) error {
	q := s.queues
	var ended []queueEnd
	var settled []uint64
	back := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		q.ended, q.settled = append(ended, q.ended...), append(settled, q.settled...)
		ended, settled = nil, nil
	}
	err := q.update(context.Background(), func(tx *bbolt.Tx) error {
		s.mu.Lock()
		ended, q.ended = q.ended, nil
		settled, q.settled = q.settled, nil
		lastID := s.lastID
		s.mu.Unlock()
		if err := forget(tx, ended, settled); err != nil {
			return err
		}
		root := tx.Bucket(queuesBucket)
		if lastID > root.Sequence() {
			if err := root.SetSequence(lastID); err != nil {
				return err
			}
		}
		if fn == nil {
			return nil
		}
		return fn(tx)
	}, back)
	if err != nil {
		return err
	}
	q.viewing.Lock() // a transaction that began before the change still shows it
	defer q.viewing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ended {
		delete(s.held, e.id)
	}
	return nil
}

// forget deletes what is done, and buckets that are empty then.
func forget(tx *bbolt.Tx, ended []queueEnd, settled []uint64) error {
	root := tx.Bucket(queuesBucket)
	touched := make(map[string]*bbolt.Bucket)
	for _, e := range ended {
		b := touched[e.name]
		if b == nil {
			if b = root.Bucket([]byte(e.name)); b == nil {
				continue
			}
			touched[e.name] = b
		}
		if err := b.Delete(e.key); err != nil {
			return err
		}
	}
	for name, b := range touched {
		if first, _ := b.Cursor().First(); first == nil {
			if err := root.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
	}
	moved := tx.Bucket(movedBucket)
	for _, id := range settled {
		if err := moved.Delete(appendU64(nil, id)); err != nil {
			return err
		}
	}
	return nil
}

// openQueues opens queues.db, and counts what is in it. If it is damaged a new one
// takes its place, or it is left as it is.
func (s *Spool) openQueues(leave bool) error {
	open := func() error {
		f, err := openFile(s.path(queuesFileName), s.now, leave)
		if err != nil {
			return err
		}
		s.queues = &queues{file: f}
		if err := f.prepare(prepareVersion, s.prepareQueues); err != nil {
			return f.refuse(err)
		}
		if err := f.view(context.Background(), s.countQueues); err != nil {
			return f.refuse(err)
		}
		go f.write()
		return nil
	}
	err := open()
	var aside *SetAside
	switch {
	case errors.As(err, &aside):
		clear(s.lines)
		clear(s.shares)
		s.lastID, s.total = 0, 0
		err = open()
	case err == nil && len(s.lines)+len(s.queues.moved) == 0 && s.queues.size() > emptyMax:
		lastID := s.lastID // a bbolt file does not shrink by itself
		if err = errors.Join(s.queues.close(), os.Remove(s.path(queuesFileName))); err == nil {
			err = open()
		}
		s.lastID, s.begins = lastID, false
	}
	return err
}

func (s *Spool) prepareQueues(tx *bbolt.Tx) error {
	for _, name := range [][]byte{queuesBucket, movedBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
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
			s.lastID = max(s.lastID, id)
			cost := valueSize(value)
			n.queued++
			n.grow(cost)
			s.total += cost
			s.queues.devices.add(s.device(n, token), cost)
			if f, ok := readFrame(value, s.salt); ok && (n.since == 0 || f.put < n.since) {
				n.since = f.put
			}
			return nil
		})
	}); err != nil {
		return err
	}
	return tx.Bucket(movedBucket).ForEach(func(key, _ []byte) error {
		if len(key) == 8 {
			s.queues.moved = append(s.queues.moved, u64(key))
		}
		return nil
	})
}
