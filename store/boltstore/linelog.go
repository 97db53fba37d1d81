package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func unix32(t time.Time) uint32 { return uint32(max(0, t.Unix())) }

// append writes what w has for the log. Whoever gets to it first writes what others
// have too.
func (s *LineSpool) append(w *put) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for !w.written {
		s.commit()
	}
	return w.err
}

// commit writes what waits for the log, in one piece, and what is done. The caller
// has s.writing.
func (s *LineSpool) commit() {
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
	g, err := s.segment(puts)
	if err == nil {
		err = s.write(g, puts, now)
	}
	for _, w := range puts {
		if w.written, w.err = true, err; err == nil {
			s.appended(g, w, now)
		}
	}
}

// write appends puts to g, durably or not at all.
func (s *LineSpool) write(g *segment, puts []*put, now uint32) error {
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
	synced := error(nil)
	if err == nil {
		synced = s.file.Sync()
		err = synced
	}
	s.failing.note(err, int64(len(b)), s.now())
	if err == nil {
		return nil
	}
	// What of it is there must not be found later. After a failed fsync a file is not
	// to be trusted.
	if cut := s.file.Truncate(g.size); cut != nil || synced != nil {
		s.roll()
	}
	return fmt.Errorf("%s: %w", g.path, err)
}

// appended says that what w has for the log is in g, and in its caller's hands.
func (s *LineSpool) appended(g *segment, w *put, now uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, batch := range w.batches {
		var p *section
		for j := range batch.Records {
			r := &batch.Records[j]
			if r.Queued {
				continue
			}
			if p == nil {
				p = s.sectionOf(w.lines[i], now)
			}
			size := frameSize(len(p.line.name), len(r.Token), len(r.Body))
			g.index.add(r.ID, g.size, size, s.tokenHash(r.Token), r.Expires, p.number)
			g.index.busy.add(len(g.index.ids) - 1)
			if g.size += int64(size); r.Expires != 0 && (g.soonest == 0 || r.Expires < int64(g.soonest)) {
				g.soonest = g.index.expires[len(g.index.ids)-1]
			}
			g.last = r.ID
			s.held[r.ID] = hand{section: p, line: p.line, size: int64(size)}
			p.add(1, 1, int64(size))
		}
	}
}

// sectionOf is what the current segment has of n.
func (s *LineSpool) sectionOf(n *line, now uint32) *section {
	p := s.sections[n]
	if p == nil {
		p = &section{seg: s.current, line: n, number: uint16(len(s.current.sections)), put: now}
		s.sections[n] = p
		s.current.sections = append(s.current.sections, p)
		n.sections = append(n.sections, p)
	}
	return p
}

// segment is the one to append puts to.
func (s *LineSpool) segment(puts []*put) (*segment, error) {
	const maxSections = 1 << 15 // with those of one commit they have numbers
	if g := s.current; g != nil && g.size < s.bounds.segment && len(g.sections) < maxSections {
		return g, nil
	}
	s.roll()
	name := segmentName{first: puts[0].first, salt: s.salt}
	g := &segment{name: name, last: name.first, path: filepath.Join(s.dir, name.String()), index: new(index)}
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		if err = syncDir(s.dir); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(g.path))
		}
	}
	if err != nil {
		s.failing.note(err, 0, s.now())
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.current, s.sections = f, g, make(map[*line]*section)
	s.segments = append(s.segments, g)
	for _, g := range slices.Clone(s.segments) {
		s.leave(g)
	}
	return g, nil
}

// roll seals the current segment, if there is one. If that fails it is read when
// the store is opened: nothing is lost.
func (s *LineSpool) roll() {
	g := s.current
	if g == nil {
		return
	}
	s.mu.Lock()
	footer := g.footer()
	s.mu.Unlock()
	err := g.writeFooter(footer)
	err = errors.Join(err, s.file.Close())
	if err != nil {
		s.failing.note(err, int64(len(footer)), s.now())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.sealed = true
	s.file, s.current, s.sections = nil, nil, nil
	s.keep(g)
	s.leave(g)
}

// writeMarks writes what is done since the last time. The caller has s.writing.
func (s *LineSpool) writeMarks() error {
	s.mu.Lock()
	marked := s.marked
	s.marked = nil
	all := make([][]byte, len(marked))
	for i, g := range marked {
		all[i], g.marks = g.marks, nil
	}
	s.mu.Unlock()
	var failed error
	for i, g := range marked {
		if g.gone || len(all[i]) == 0 {
			continue
		}
		err := g.writeMarks(all[i])
		s.mu.Lock()
		if err == nil {
			if g.marked += int64(len(all[i])); !g.dirty {
				g.dirty = true
				s.unsynced = append(s.unsynced, g)
			}
		} else {
			failed = errors.Join(failed, err)
			if g.marks = append(all[i], g.marks...); !slices.Contains(s.marked, g) {
				s.marked = append(s.marked, g)
			}
		}
		s.mu.Unlock()
	}
	return failed
}
