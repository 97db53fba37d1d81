package boltstore

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/queuedb"
)

// queues are the devices' queues.
type queues struct {
	*queuedb.DB
	devices deviceIndex
	viewing sync.RWMutex  // held by readers: a deleted record stays held until no reader can see it; taken before mu
	flags   atomic.Uint64 // how often a record's flags were rewritten
	moved   []uint64      // in order: IDs that may be in the log as well, and are done there; nil once the log is open
}

const (
	queuesFileName = "queues.db"
	spoolDir       = "spool"
	emptyMax       = 16 << 20 // bytes that a file with nothing in it may have
	maxEnded       = 1024     // records deleted in one transaction
)

// openQueues opens queues.db and counts what is in it. If the file is damaged a new one
// takes its place; with leave it is left as it is, and an error is returned.
func (s *Spool) openQueues(leave bool) error {
	open := func() (err error) {
		s.queues.DB, s.aside, err = queuedb.Open(s.path(queuesFileName), queuedb.Options{
			Now: s.now, Leave: leave, IDs: s.ids, Begin: s.beginQueues, Found: s.foundQueued,
		})
		return err
	}
	if err := open(); err != nil {
		return err
	}
	s.lastID, s.begins = s.queues.LastID, s.queues.New
	if len(s.lines.by) == 0 && s.queues.Size() > emptyMax { // a bbolt file does not shrink by itself
		if err := errors.Join(s.queues.Close(), os.Remove(s.path(queuesFileName))); err != nil {
			return err
		}
		if err := open(); err != nil {
			return err
		}
	}
	slices.Sort(s.queues.moved)
	return nil
}

// ids gives the last ID that was assigned.
func (s *Spool) ids() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

func (s *Spool) beginQueues() {
	s.lines.remove(func(*line) bool { return true })
	s.queued = 0
	s.queues.devices.sizes, s.queues.moved = make(map[uint64]int64), nil
}

// foundQueued counts a record that was in a queue when the spool was opened.
func (s *Spool) foundQueued(f queuedb.Found) bool {
	l, ok := store.ParseLine(f.Name)
	if !ok {
		return false
	}
	n := s.line(l)
	s.queues.devices.add(s.device(n, f.Token), f.Size)
	n.queued++
	n.bytes += f.Size
	s.queued += f.Size
	if f.Put != 0 {
		n.seen(f.Put)
	}
	if f.Moved {
		s.queues.moved = append(s.queues.moved, f.ID)
	}
	return true
}

// enqueue writes what w has for queues.
func (s *Spool) enqueue(w *put) error {
	if err := s.log.KeepRoom(); err != nil {
		return err
	}
	return s.queues.Put(context.Background(), func(yield func(queuedb.Item) bool) {
		for n, r := range w.records(true) {
			if !yield(queuedb.Item{Name: n.Name, Moved: r.ID < w.log.First, Record: r}) {
				return
			}
		}
	})
}

// deviceIndex is how many bytes devices have in their queues, by the hash of the device:
// two devices may share one.
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
