package boltstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"apnsbridge/store"
)

// Take implements store.Spool. It gives what was returned, and reads on from
// where it was.
func (s *Spool) Take(ctx context.Context, l store.Line, limit int, most int64) ([]store.SpoolRecord, error) {
	n := s.known(l)
	if err := errors.Join(ctx.Err(), s.open()); err != nil || n == nil {
		return nil, err
	}
	n.reading.Lock()
	defer n.reading.Unlock()
	t := &logTaking{n: n, limit: limit, bytes: most}
	err := s.takeReturned(t)
	if err == nil && !t.full {
		err = s.takeOn(t)
	}
	if len(t.records) > 0 {
		err = nil // it comes again, if it is still so
	}
	return t.records, err
}

// logTaking is one Take.
type logTaking struct {
	n       *line
	limit   int
	bytes   int64
	records []store.SpoolRecord
	full    bool
}

// room reports whether a record whose frame has so many bytes may be given too.
func (t *logTaking) room(size int64) bool {
	payload := size - int64(frameSize(len(t.n.name), 0, 0))
	if len(t.records) >= t.limit || len(t.records) > 0 && payload > t.bytes {
		t.full = true
		return false
	}
	t.bytes -= payload
	return true
}

// takeReturned gives what was passed over, because somebody held it.
func (s *Spool) takeReturned(t *logTaking) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(t.n.returned)
	for len(t.n.returned) > 0 {
		id := t.n.returned[0]
		h, ok := s.held[id]
		if ok && h.state == returned {
			if !t.room(h.size) {
				return nil
			}
			s.mu.Unlock()
			r, err := s.readOne(h, id)
			s.mu.Lock()
			if errors.Is(err, fs.ErrNotExist) && h.seg.gone {
				continue // it stands elsewhere now
			} else if err != nil {
				return err
			}
			s.claim(s.held[id], id)
			t.records = append(t.records, r)
		}
		t.n.returned = t.n.returned[1:]
	}
	return nil
}

// readOne reads a record of the log.
func (s *Spool) readOne(h hand, id uint64) (r store.SpoolRecord, err error) {
	f, err := os.Open(h.seg.path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	b := make([]byte, h.size)
	f.ReadAt(b, h.off) // what cannot be read is broken
	return s.record(b, id, h.seg.name.salt), nil
}

// record is the record with an ID whose frame is b, broken if it is not.
func (s *Spool) record(b []byte, id uint64, salt uint32) store.SpoolRecord {
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: id}, Broken: errBroken}
	if f, ok := readFrame(b, salt); ok && f.id == id {
		r = f.record(b)
	}
	if r.Broken != nil {
		s.mu.Lock()
		s.broken++
		s.mu.Unlock()
		s.quarantine(bytes.NewReader(b))
	}
	return r
}

// takeOn reads on.
func (s *Spool) takeOn(t *logTaking) error {
	n := t.n
	for !t.full {
		g, off, end := s.position(n)
		if g == nil {
			return nil
		}
		to, err := s.scan(g, off, end, func(sc *scanner, f frame, at int64) bool {
			if string(f.name) != n.name || f.id < n.cursor {
				return true
			}
			h := hand{line: n, seg: g, off: at, size: int64(f.size)}
			if s.passes(h, f.id) {
				return true
			}
			if !t.room(h.size) {
				return false
			}
			r := s.record(sc.bytes(at, f.size), f.id, g.name.salt)
			if !s.takes(h, f.id) {
				return false
			}
			t.records = append(t.records, r)
			return true
		})
		s.mu.Lock()
		gone := g.gone
		if n.at, n.off = g, to; err == nil && to == g.size {
			n.cursor = max(n.cursor, g.footer.Last+1)
		}
		s.mu.Unlock()
		if err != nil && !gone {
			return err
		}
	}
	return nil
}

// position is where a line reads on, and up to where. nil: there is nothing.
func (s *Spool) position(n *line) (g *segment, off, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		c := g.counts[n]
		switch {
		case g.footer.Last < n.cursor || c == nil || c.records == 0:
		case g != n.at:
			return g, 0, g.size
		case n.off < g.size:
			return g, n.off, g.size
		}
	}
	return nil, 0, 0
}

// passes reports whether a record is passed over, because it is done or held.
func (s *Spool) passes(h hand, id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.held[id]
	if h.line.cursor = id; held || h.seg.isDone(h.off) {
		h.line.cursor = id + 1
		return true
	}
	return false
}

// takes claims the record that is read now.
func (s *Spool) takes(h hand, id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.claim(h, id) {
		return false
	}
	h.line.cursor = id + 1
	return true
}

// claim has a record be in the caller's hands, if it is there and in nobody's. Its
// caller has s.mu.
func (s *Spool) claim(h hand, id uint64) bool {
	if other, held := s.held[id]; held && other.state == inHands || h.seg.gone || h.seg.isDone(h.off) {
		return false
	}
	h.state = inHands
	s.held[id] = h
	h.line.waiting.Add(-1)
	return true
}

// scan calls fn for the records in a part of a segment, until it is false, and says
// where it has got to.
func (s *Spool) scan(
	g *segment, from, end int64, fn func(sc *scanner, f frame, at int64) bool,
) (to int64, err error) {
	file, err := os.Open(g.path)
	if err != nil {
		return from, err
	}
	defer file.Close()
	buf := s.buffers.Get().(*[]byte)
	sc := scanner{from: file, salt: g.name.salt, size: end, at: from, buf: (*buf)[:0]}
	to = end
	for {
		f, at, ok := sc.next()
		if !ok {
			break
		}
		if !fn(&sc, f, at) {
			to = at
			break
		}
	}
	*buf = sc.buf
	s.buffers.Put(buf)
	return to, s.foundHoles(g, sc.gaps)
}

func (s *Spool) isDone(h hand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.seg.isDone(h.off)
}
