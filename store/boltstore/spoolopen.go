package boltstore

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"os"
	"path/filepath"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/seglog"
)

// OpenSpool opens the spool of the store in dir, and makes one if there is none. A
// damaged file is set aside under another name. An error is a sentence for the
// operator. The caller closes the spool.
func OpenSpool(dir string, o Options) (*Spool, error) { return openSpool(dir, o, false) }

func openSpool(dir string, o Options, leaveDamaged bool) (*Spool, error) {
	o.setDefaults()
	if old := filepath.Join(dir, "spool.db"); fileExists(old) {
		return nil, fmt.Errorf("%s is of an earlier version: run that version until what waits in it is delivered, "+
			"and move the file away", old)
	}
	dir = filepath.Join(dir, spoolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the spool: %w", err)
	}
	s := &Spool{
		dir: dir, now: o.Now, bounds: newBounds(o), seed: maphash.MakeSeed(),
		quit: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1),
		lines: lines{by: make(map[store.Line]*line)},
	}
	if err := s.openQueues(leaveDamaged); err != nil {
		return nil, err
	}
	if err := s.openLog(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the spool: %w", err), s.queues.Close())
	}
	go s.tend()
	return s, nil
}

// openLog opens the log. The queues are open already.
func (s *Spool) openLog() (err error) {
	s.log, err = seglog.Open(seglog.Config{
		Dir: s.dir, Salt: s.queues.Salt, Now: s.now, Segment: s.bounds.segment, Room: s.bounds.room,
		Moved: s.queues.moved, Tally: s.tally, CheckedOut: s.checkedOut, Expire: s.expire, Note: s.note,
	})
	if err != nil {
		return err
	}
	s.queues.moved = nil
	s.lastID = max(s.lastID, s.log.LastID())
	return nil
}

// tally gives the tally of the line with that name.
func (s *Spool) tally(name string) *seglog.Tally {
	l, ok := store.ParseLine(name)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.line(l).Tally
}

// checkedOut calls fn with the records of the log that are checked out.
func (s *Spool) checkedOut(fn func(iter.Seq[seglog.Out])) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(func(yield func(seglog.Out) bool) {
		for id, h := range s.held.All() {
			if h.device == 0 && !yield(h.out(id)) {
				return
			}
		}
	})
}

// expire ends a record of the log, unless it is checked out.
func (s *Spool) expire(f seglog.Frame) bool {
	l, _ := store.ParseLine(string(f.Name))
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.lines.known(l)
	if _, held := s.held.Get(f.ID); held || n == nil || !s.log.Has(f.ID) {
		return false
	}
	s.expired++
	n.Waiting.Add(-1)
	s.log.End(hand{line: n, size: int64(f.Size)}.out(f.ID))
	return true
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
