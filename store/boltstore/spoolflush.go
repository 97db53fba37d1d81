package boltstore

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/boltstore/queuedb"
	"apnsbridge/store/boltstore/seglog"
)

const (
	flushWait   = 50 * time.Millisecond // from a change until what is done is durable
	tellWait    = time.Second           // from a change until it is in the file waiting
	waitingName = "waiting"
)

func (s *Spool) flushSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tend flushes soon after something was put or done, frees space, and writes down what
// waits.
func (s *Spool) tend() {
	defer close(s.ended)
	s.tell()
	var telling <-chan time.Time
	for wait := flushWait; ; {
		select {
		case <-s.wake:
		case <-telling:
			s.tell()
			telling = nil
			continue
		case <-s.quit:
			return
		}
		if telling == nil {
			telling = time.After(tellWait)
		}
		select {
		case <-time.After(wait):
		case <-s.quit:
			return
		}
		s.cleaning.Lock()
		if seglog.IsFull(s.Failing()) {
			s.log.RollSparse()
		}
		err := s.flush()
		for err == nil && s.clean() {
			err = s.flush()
		}
		s.cleaning.Unlock()
		if s.failing.Err() != nil {
			s.log.Probe(s.failing.Needs())
		}
		if wait = flushWait; err != nil || s.failing.Err() != nil {
			wait = boltfile.ProbeWait
			s.flushSoon()
		}
		s.forgetLines()
	}
}

// clean writes a part of the log anew if that is worth while, and reports whether it did. If
// that may soon be worth while, it makes sure to be called again.
func (s *Spool) clean() bool {
	cleaned, later := s.log.CleanAtRest(2)
	if later {
		s.flushSoon()
	}
	return cleaned
}

// tell writes down what waits, for other processes to read while the spool is open. If
// that fails, no harm is done.
func (s *Spool) tell() {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	b, err := json.Marshal(s.Stats())
	if err == nil {
		err = os.WriteFile(s.path(waitingName+".new"), b, 0o600)
	}
	if err == nil {
		os.Rename(s.path(waitingName+".new"), s.path(waitingName))
	}
}

// Flush implements store.Spool.
func (s *Spool) Flush(ctx context.Context) error {
	if _, err := s.begin(ctx, store.Line{}); err != nil {
		return err
	}
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	return s.flush()
}

// flush makes durable what is done. The log comes first: what was moved to a queue and is
// deleted there must not come again. The caller holds s.cleaning.
func (s *Spool) flush() error { return s.log.WithRoom(s.flushAll) }

func (s *Spool) flushAll() error {
	s.mu.Lock()
	ended := s.done
	s.mu.Unlock()
	if err := s.log.Flush(); err != nil {
		return err
	}
	return s.flushQueues(ended)
}

// makeRoom frees the space of what is done or has expired, for a Put that has no room, even
// in segments of which that is no more than one part in so many.
func (s *Spool) makeRoom(parts int64) {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	s.log.RollSparse()
	s.flush()
	s.log.DropExpired()
	for s.log.Clean(8) {
	}
	s.log.Clean(parts)
	s.flush()
}

// note takes the result of writing that many bytes of the log.
func (s *Spool) note(err error, bytes int64) {
	s.failing.Note(err, bytes, s.now())
	if err != nil {
		s.flushSoon() // which tries whether the log can be written again
	}
}

// flushQueues deletes what is done, a limited number in each transaction. A transaction writes
// anew every page that it changes, before it frees any: on a full disk, few records are deleted
// first, and then more.
func (s *Spool) flushQueues(ended []queuedb.Key) error {
	most := maxEnded
	for tries := s.queues.Failing.Err() != nil; tries || len(ended) > 0; tries = false {
		some := ended[:min(len(ended), most)]
		switch err := s.queues.Delete(context.Background(), some); {
		case seglog.IsFull(err) && len(some) > 1:
			most = len(some) / 2
			continue
		case err != nil:
			return err
		}
		most = min(2*most, maxEnded)
		s.forgetEnded(some)
		ended = ended[len(some):]
	}
	return nil
}

func (s *Spool) forgetEnded(ended []queuedb.Key) {
	s.queues.viewing.Lock() // transactions that began before the deletion still show the records
	defer s.queues.viewing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ended {
		s.held.Delete(e.ID)
	}
	if s.done = s.done[len(ended):]; len(s.done) == 0 {
		s.done = nil
	}
}
