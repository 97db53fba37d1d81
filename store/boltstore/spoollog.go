package boltstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

func unix32(t time.Time) uint32 { return uint32(max(0, t.Unix())) }

// append writes what w has for the log. Who gets to it first writes what others
// have too.
func (s *Spool) append(w *put) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for !w.written {
		s.commit()
	}
	return w.err
}

// commit writes what waits for the log, durably or not at all, and what is done. The
// caller has s.writing.
func (s *Spool) commit() {
	s.mu.Lock()
	n, size := 0, int64(0)
	for ; n < len(s.pending) && (n == 0 || size < maxCommit); n++ {
		size += s.pending[n].logSize
	}
	puts := s.pending[:n:n]
	s.pending = s.pending[n:]
	s.mu.Unlock()
	s.writeMarks() // or later: nothing is lost by that
	now := unix32(s.now())
	g, err := s.segmentFor(puts, now)
	if err == nil {
		err = s.write(g, puts, now)
	}
	for _, w := range puts {
		if w.written, w.err = true, err; err == nil {
			s.appended(g, w)
		}
	}
}

// write appends puts to g.
func (s *Spool) write(g *segment, puts []*put, now uint32) error {
	b := s.buf[:0]
	for _, w := range puts {
		for i, batch := range w.batches {
			for j := range batch.Records {
				if r := &batch.Records[j]; !r.Queued {
					b = appendFrame(b, s.salt, logFrame, w.lines[i].name, now, r, nil)
				}
			}
		}
	}
	if s.buf = b; cap(b) > maxCommit/4 {
		s.buf = nil
	}
	_, err := s.file.WriteAt(b, g.size)
	synced := true
	if err == nil {
		err = s.file.Sync()
		synced = err == nil
	}
	s.note(err, len(b))
	if err == nil {
		return nil
	}
	// What of it is there must not be found later; and after a failed fsync a file is
	// not to be trusted.
	if cut := s.file.Truncate(g.size); cut != nil || !synced {
		s.roll()
	}
	return fmt.Errorf("%s: %w", g.path, err)
}

// note takes what came of writing size bytes.
func (s *Spool) note(err error, size int) {
	s.queues.failing.note(err, int64(size), s.now())
	if err != nil {
		s.flushSoon() // which looks whether it can be written again
	}
}

// appended says that what w has for the log is in g, and in its caller's hands.
func (s *Spool) appended(g *segment, w *put) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, batch := range w.batches {
		n, records, from := w.lines[i], 0, g.size
		for j := range batch.Records {
			r := &batch.Records[j]
			if r.Queued {
				continue
			}
			size := int64(frameSize(len(n.name), len(r.Token), len(r.Body)))
			s.held[r.ID] = hand{line: n, seg: g, off: g.size, size: size}
			g.size += size
			g.footer.Last = r.ID
			g.footer.expires(r.Expires)
			records++
		}
		if records > 0 {
			g.add(n, records, g.size-from)
			n.waiting.Add(-int64(records))
		}
	}
}

// expires notes when a record does.
func (f *footer) expires(at int64) {
	if at != 0 && (f.Soonest == 0 || at < f.Soonest) {
		f.Soonest = at
	}
}

// segmentFor is the segment to append puts to.
func (s *Spool) segmentFor(puts []*put, now uint32) (*segment, error) {
	if g := s.current; g != nil && g.size < s.bounds.segment {
		return g, nil
	}
	s.roll()
	g := newSegment(s.dir, segmentName{first: puts[0].first, salt: s.salt})
	g.footer.Put = now
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		if err = syncDir(s.dir); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(g.path))
		}
	}
	if err != nil {
		s.note(err, 0)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.current = f, g
	s.segments = append(s.segments, g)
	for _, g := range slices.Clone(s.segments) {
		s.leave(g)
	}
	return g, nil
}

// roll seals the current segment, if there is one. If that fails it is read when
// the store is opened: nothing is lost.
func (s *Spool) roll() {
	g := s.current
	if g == nil {
		return
	}
	s.mu.Lock()
	g.footer.Lines = g.list()
	s.mu.Unlock()
	err := errors.Join(g.seal(), s.file.Close())
	if err != nil {
		s.note(err, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.current, g.sealed = nil, nil, true
	s.leave(g)
}
