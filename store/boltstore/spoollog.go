package boltstore

import (
	"errors"
	"fmt"
	"os"
	"sort"
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
		size += s.pending[n].logged
	}
	puts := s.pending[:n:n]
	s.pending = s.pending[n:]
	s.mu.Unlock()
	s.writeMarks() // or later: nothing is lost by that
	now := s.now()
	g, err := s.segmentFor(puts, now)
	if err == nil {
		err = s.write(g, puts, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range puts {
		if w.written, w.err = true, err; err == nil {
			g.appended(w, now)
		}
	}
}

// write appends puts to g.
func (s *Spool) write(g *segment, puts []*put, now time.Time) error {
	b := s.buf[:0]
	for _, w := range puts {
		for n, r := range w.records(false) {
			b = appendFrame(b, s.salt, logFrame, n.name, unix32(now), r)
		}
	}
	if s.buf = b; cap(b) > maxCommit/4 {
		s.buf = nil
	}
	_, err := s.file.WriteAt(b, g.Size)
	synced := true
	if err == nil {
		err = s.file.Sync()
		synced = err == nil
	}
	s.note(err, int64(len(b)))
	if err == nil {
		return nil
	}
	// What of it is there must not be found later; and after a failed fsync a file is
	// not to be trusted.
	if cut := s.file.Truncate(g.Size); cut != nil || !synced {
		s.roll()
	}
	return fmt.Errorf("%s: %w", g.path, err)
}

// note takes what came of writing size bytes.
func (s *Spool) note(err error, size int64) {
	s.failing.note(err, size, s.now())
	if err != nil {
		s.flushSoon() // which looks whether it can be written again
	}
}

// appended says that what w has for the log is in g, and in its caller's hands.
func (g *segment) appended(w *put, now time.Time) {
	for n, r := range w.records(false) {
		size := n.cost(r)
		g.found(r.ID, g.Size)
		g.Size += size
		g.Last = r.ID
		g.expires(r.Expires)
		g.add(n, 1, size)
		n.waiting.Add(-1) // last, so that never fewer seem to wait than do
		n.seen(now.Unix())
	}
}

// segmentFor is the segment to append puts to.
func (s *Spool) segmentFor(puts []*put, now time.Time) (*segment, error) {
	if err := s.keepRoom(); err != nil {
		return nil, err
	}
	first := puts[0].first
	if g := s.current; g != nil && g.Size < s.bounds.segment && first-g.name.first < maxSegmentIDs {
		return g, nil
	}
	s.roll()
	g := newSegment(s.dir, segmentName{first: first, salt: s.salt})
	g.Put = max(1, now.Unix())
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
	return g, nil
}

// roll ends the current segment, if there is one: nothing is appended to it any more.
func (s *Spool) roll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.file.Close()
		s.file, s.current = nil, nil
	}
}

// roomName is of a file that is given up when the disk is full, so that what is done
// can be said, by which a disk that the spool itself has filled becomes empty again.
const (
	roomName  = "room"
	probeName = "probe" + newEnd
)

// keepRoom makes sure that the file is there: nothing is put without it. The caller
// has s.writing.
func (s *Spool) keepRoom() error {
	if s.room {
		return nil
	}
	if err := s.occupy(roomName, s.bounds.room); err != nil {
		s.note(err, s.bounds.room)
		return err
	}
	s.room = true
	return nil
}

// occupy makes a file that takes size bytes of the disk.
func (s *Spool) occupy(name string, size int64) error {
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, size); errors.Is(err, errors.ErrUnsupported) {
		_, err = f.Write(make([]byte, size))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return err
}

// probe looks whether the disk takes as much as could not be written, so that it is
// known even if nothing is written.
func (s *Spool) probe() {
	s.writing.Lock()
	defer s.writing.Unlock()
	needs := s.failing.room()
	err := s.keepRoom()
	if err == nil {
		err = s.occupy(probeName, needs)
		os.Remove(s.path(probeName))
		s.note(err, needs)
	}
}

// giveRoom gives the file up, and reports whether it was there.
func (s *Spool) giveRoom() bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	was := s.room
	s.room = false
	return was && os.Remove(s.path(roomName)) == nil
}

// segment is the one in which the record of the log with an ID is, if it is in one.
func (s *Spool) segment(id uint64) *segment {
	if at := s.behind(id); at < len(s.segments) && s.segments[at].name.first <= id {
		return s.segments[at]
	}
	return nil
}

// behind is the place of the first segment that ends with an ID or a higher one.
func (s *Spool) behind(id uint64) int {
	return sort.Search(len(s.segments), func(i int) bool { return s.segments[i].Last >= id })
}

// syncDir makes durable that a file has another name.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
