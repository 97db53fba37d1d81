package boltstore

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

const (
	flushWait   = 50 * time.Millisecond // from a change until what is done is durable
	tellWait    = time.Second           // and until it is told
	waitingName = "waiting"
)

func (s *Spool) flushSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tend flushes soon after something was put or done, gives back space, and tells what
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
		if errors.Is(s.Failing(), syscall.ENOSPC) {
			s.rollSparse()
		}
		err := s.flush()
		for err == nil && s.clean(2) {
			err = s.flush()
		}
		s.cleaning.Unlock()
		if s.failing.is() != nil {
			s.probe()
		}
		if wait = flushWait; err != nil || s.failing.is() != nil {
			wait = probeWait
			s.flushSoon()
		}
		s.forgetLines()
	}
}

// tell writes what waits, for those who look while the spool is open. What goes wrong
// with that harms nothing.
func (s *Spool) tell() {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	b, err := json.Marshal(s.Stats())
	if err == nil {
		err = os.WriteFile(s.path(waitingName+newEnd), b, 0o600)
	}
	if err == nil {
		os.Rename(s.path(waitingName+newEnd), s.path(waitingName))
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

// flush makes durable what is done, first in the log: what was moved to a queue and is
// deleted there must not come again. The caller has s.cleaning.
func (s *Spool) flush() error { return s.withRoom(s.flushAll) }

// withRoom does what makes a full disk emptier, if need be with the room that was kept
// for it.
func (s *Spool) withRoom(do func() error) error {
	err := do()
	if errors.Is(err, syscall.ENOSPC) && s.giveRoom() {
		err = do()
	}
	s.note(err, 0)
	return err
}

func (s *Spool) flushAll() error {
	s.mu.Lock()
	ended := s.done
	s.mu.Unlock()
	s.writing.Lock()
	err := s.writeMarks()
	s.writing.Unlock()
	s.mu.Lock()
	var unsynced []*segment
	for _, g := range s.segments {
		if g.unsynced {
			g.unsynced = false
			unsynced = append(unsynced, g)
		}
	}
	s.mu.Unlock()
	for _, g := range unsynced {
		if failed := syncMarks(g.path); failed != nil {
			s.mu.Lock()
			g.unsynced = true
			s.mu.Unlock()
			err = errors.Join(err, failed)
		}
	}
	if err == nil {
		err = s.removeDone()
	}
	if err == nil {
		err = s.flushQueues(ended)
	}
	return err
}

// writeMarks writes what is done since the last time. The caller has s.writing.
func (s *Spool) writeMarks() (failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range slices.Clone(s.segments) {
		from, to := g.from, g.to
		if from == to || g.gone {
			continue
		}
		words := slices.Clone(g.done[from:to])
		g.from, g.to, g.unsynced = 0, 0, true
		s.mu.Unlock()
		err := writeMarks(g.path, words, from)
		s.mu.Lock()
		if err != nil {
			failed = errors.Join(failed, err)
			g.unwritten(from, to)
		}
	}
	return failed
}

// removeDone removes the segments in which all is done, and known to be. The last one
// stays, for the IDs it has.
func (s *Spool) removeDone() (err error) {
	s.mu.Lock()
	var done []*segment
	for i, g := range slices.Backward(s.segments) {
		if i < len(s.segments)-1 && g.live.Records == 0 && g.from == g.to && !g.unsynced {
			s.segments = slices.Delete(s.segments, i, i+1)
			s.total -= g.Size
			g.gone = true
			done = append(done, g)
		}
	}
	s.mu.Unlock()
	for _, g := range done {
		err = errors.Join(err, g.remove())
	}
	if len(done) > 0 {
		err = errors.Join(err, syncDir(s.dir))
	}
	return err
}

// flushQueues deletes what is done, some in each transaction, and brings what is known
// of segments up to date.
func (s *Spool) flushQueues(ended []queueEnd) error {
	s.mu.Lock()
	ready, names := make(map[*segment]summary), make(map[string]bool)
	for _, g := range s.segments {
		if names[g.name.String()] = true; g != s.current && !g.summarized {
			of := g.summary
			for n, c := range g.counts {
				of.Lines = append(of.Lines, lineSummary{n.Line, c})
			}
			if g.done != nil {
				of.Lines = nil
			}
			ready[g] = of
		}
	}
	s.mu.Unlock()
	for tries := s.queues.failing.is() != nil; tries || len(ended)+len(ready) > 0; tries = false {
		some := ended[:min(len(ended), maxEnded)]
		err := s.queues.update(context.Background(), func(tx *bbolt.Tx) error {
			root := tx.Bucket(queuesBucket)
			return errors.Join(s.saveLastID(root), deleteEnded(root, some), saveSummaries(tx.Bucket(segmentsBucket), ready, names))
		}, func() {})
		if err != nil {
			return err
		}
		s.forgetEnded(some, ready)
		ended, ready = ended[len(some):], nil
	}
	return nil
}

func (s *Spool) forgetEnded(ended []queueEnd, ready map[*segment]summary) {
	s.queues.viewing.Lock() // a transaction that began before the change still shows it
	defer s.queues.viewing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ended {
		delete(s.held, e.id)
	}
	if s.done = s.done[len(ended):]; len(s.done) == 0 {
		s.done = nil
	}
	for g := range ready {
		g.summarized = true
	}
}

// deleteEnded deletes what is done, and buckets that are empty then.
func deleteEnded(root *bbolt.Bucket, ended []queueEnd) (err error) {
	touched := make(map[string]*bbolt.Bucket)
	for _, e := range ended {
		if touched[e.name] == nil {
			touched[e.name] = root.Bucket([]byte(e.name))
		}
		if b := touched[e.name]; b != nil {
			err = errors.Join(err, b.Delete(e.key))
		}
	}
	for name, b := range touched {
		if first, _ := b.Cursor().First(); first == nil {
			err = errors.Join(err, root.DeleteBucket([]byte(name)))
		}
	}
	return err
}

// saveSummaries adds some, and deletes those of files that are not there any more.
func saveSummaries(b *bbolt.Bucket, ready map[*segment]summary, names map[string]bool) (err error) {
	for g, of := range ready {
		value, failed := json.Marshal(of)
		err = errors.Join(err, failed, b.Put([]byte(g.name.String()), value))
	}
	c := b.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if !names[string(key)] {
			err = errors.Join(err, c.Delete())
		}
	}
	return err
}
