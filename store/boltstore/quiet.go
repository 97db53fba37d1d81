package boltstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// flushWait is for how long that records are done waits for a Put to take it
// along.
const flushWait = 50 * time.Millisecond

// quiet is what makes a spool flush by itself.
type quiet struct {
	timer   *time.Timer // nil: there is nothing to flush
	carried uint64      // transactions so far that took along what is done
	seen    uint64      // of these, when the timer was set
	closed  bool
	running sync.WaitGroup // timers
}

// flushSoon has what is done be flushed, if it is not taken along by then. The
// caller has s.mu.
func (s *Spool) flushSoon() {
	if s.quiet.timer == nil && len(s.held.unsaved) > 0 {
		s.flushIn(flushWait)
	}
}

func (s *Spool) flushIn(wait time.Duration) {
	q := &s.quiet
	if q.closed {
		return
	}
	q.seen = q.carried
	q.running.Add(1)
	q.timer = time.AfterFunc(wait, func() {
		defer q.running.Done()
		s.flushNow()
	})
}

// flushNow is called by the timer.
func (s *Spool) flushNow() {
	s.mu.Lock()
	q := &s.quiet
	carried := q.carried != q.seen
	s.mu.Unlock()
	wait := flushWait
	if !carried {
		if err := s.Flush(context.Background()); err != nil {
			wait = probeWait
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.timer = nil
	if len(s.held.unsaved) > 0 {
		s.flushIn(wait)
	}
}

// Flush implements store.Spool.
func (s *Spool) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	saved := s.held.allSaved()
	s.mu.Unlock()
	if saved {
		return nil
	}
	return s.put(ctx, nil)
}

// close flushes for the last time and closes the file.
func (s *Spool) close() error {
	s.mu.Lock()
	q := &s.quiet
	q.closed = true
	if q.timer != nil && q.timer.Stop() {
		q.running.Done()
	}
	s.mu.Unlock()
	q.running.Wait()
	err := s.Flush(context.Background())
	if errors.Is(err, store.ErrClosed) {
		err = nil // which the file says too
	}
	return errors.Join(err, s.file.close())
}

// end is what the file is to be told of a blob.
type end struct {
	blob *blob
	bits []byte // its bitmap; nil: all its records are done
}

// ends gives what the file does not know yet of what is done. The caller tells it
// within a transaction, and then what came of that to told.
func (s *Spool) ends() []end {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet.carried++
	blobs := s.held.save()
	ends := make([]end, len(blobs))
	for i, b := range blobs {
		ends[i].blob = b
		if !b.over() {
			ends[i].bits = appendBitmap(make([]byte, 0, bitmapHead+(b.count+7)/8), b.number, b.count, b.ended)
		}
	}
	return ends
}

// told takes what came of telling the file.
func (s *Spool) told(ends []end, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ends {
		s.held.saved(e.blob, ok)
	}
}

// tell writes which records of a blob are done, or takes the blob away if all are,
// and its queue if it was the last.
func (e end) tell(root *bbolt.Bucket) error {
	name := []byte(e.blob.queue.name)
	q := root.Bucket(name)
	if q == nil {
		return damage("queue %q is gone", name)
	}
	key := appendU64(nil, e.blob.number)
	if e.bits != nil {
		return q.Put(bitmapKey(key), e.bits)
	}
	if err := q.DeleteBucket(key); err != nil {
		return err
	}
	if err := q.Delete(bitmapKey(key)); err != nil {
		return err
	}
	if first, _ := q.Cursor().First(); first != nil {
		return nil
	}
	return root.DeleteBucket(name)
}

// bitmapKey is the key of the bitmap of the blob that has key: right behind it.
func bitmapKey(key []byte) []byte { return append(key, 'd') }
