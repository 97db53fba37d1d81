package boltstore

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// manySegments is how many neighbours become one in any case, if all that is left in
// them has room in one: each start of the program begins one.
const manySegments = 16

// clean writes neighbouring segments anew if at least one of so many parts of their
// bytes is done, and reports whether. The caller has s.cleaning.
func (s *Spool) clean(parts int64) bool {
	s.mu.Lock()
	run := s.sparse(parts)
	s.mu.Unlock()
	if len(run) == 0 {
		return false
	}
	err := s.renew(run)
	s.queues.failing.note(err, 0, s.now())
	return err == nil
}

// sparse gives the neighbours of which most is done, if it is enough.
func (s *Spool) sparse(parts int64) (run []*segment) {
	most := int64(0)
	for i, first := range s.segments {
		size, live, n := int64(0), int64(0), 0
		for _, g := range s.segments[i:] {
			if !g.sealed || g.name.salt != first.name.salt || n > 0 && live+g.live > s.bounds.segment {
				break
			}
			size, live, n = size+g.size, live+g.live, n+1
		}
		if dead := size - live; dead > most && dead*parts >= size || run == nil && n >= manySegments {
			run, most = slices.Clone(s.segments[i:i+n]), dead
		}
	}
	return run
}

// moved is a record that was copied.
type moved struct {
	id   uint64
	from hand // where it stood
	off  int64
}

// renew has one segment take the place of a run: first on disk, then in memory.
func (s *Spool) renew(run []*segment) (err error) {
	name, last := run[0].name, run[len(run)-1]
	for _, g := range run {
		name.generation = max(name.generation, g.name.generation+1)
	}
	to := newSegment(s.dir, name)
	to.sealed, to.footer.Last, to.footer.Put = true, last.footer.Last, run[0].footer.Put
	f, err := os.OpenFile(to.path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(to.path + newEnd) // if it still has that name
	w := bufio.NewWriterSize(f, scanBytes)
	var all []moved
	lines := make(map[*line]*footerLine)
	var n *line
	for i := 0; i < len(run) && err == nil; i++ {
		g := run[i]
		to.footer.Replaces = append(to.footer.Replaces, g.name.String())
		_, err = s.scan(g, 0, g.size, func(sc *scanner, f frame, at int64) bool {
			n = s.lineOf(f, n)
			h := hand{line: n, seg: g, off: at, size: int64(f.size)}
			if n == nil || s.isDone(h) {
				return true
			}
			if lines[n] == nil {
				lines[n] = &footerLine{Line: n.Line}
			}
			lines[n].Records++
			lines[n].Bytes += h.size
			to.footer.expires(f.expires)
			all = append(all, moved{f.id, h, to.size})
			to.size += h.size
			w.Write(sc.bytes(at, f.size)) // what goes wrong Flush says
			return true
		})
	}
	for _, l := range lines {
		to.footer.Lines = append(to.footer.Lines, *l)
	}
	w.Write(to.sealing())
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	// No Put returns from here on until the new segment is there in memory too: it
	// carries what was done before it, and the old segments' marks go with them.
	s.writing.Lock()
	defer s.writing.Unlock()
	if err == nil {
		err = s.carryMarks(to, all)
	}
	if err == nil {
		err = os.Rename(to.path+newEnd, to.path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err == nil {
		s.replace(run, to, all)
	}
	return err
}

// carryMarks marks in the new segment what was done since it was copied.
func (s *Spool) carryMarks(to *segment, all []moved) error {
	var marks []byte
	s.mu.Lock()
	for _, m := range all {
		if m.from.seg.isDone(m.from.off) {
			marks = appendMark(marks, m.off)
		}
	}
	s.mu.Unlock()
	// Marks of a segment of that name, which did not come to be, may be there.
	if err := os.Remove(to.marksPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(marks) == 0 {
		return nil
	}
	err := to.writeMarks(marks)
	if err == nil {
		to.marked = int64(len(marks))
	}
	return err
}

// lineOf is the line of a frame, or nil. It is found without an allocation if it is
// that of the frame before, which may be nil.
func (s *Spool) lineOf(f frame, before *line) *line {
	if before != nil && before.name == string(f.name) && f.kind == logFrame {
		return before
	}
	if l, ok := parseLine(string(f.name)); ok && f.kind == logFrame {
		return s.known(l)
	}
	return nil
}

// replace has a segment take the place of a run, of which some may be done meanwhile.
func (s *Spool) replace(run []*segment, to *segment, all []moved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var done []moved
	for _, m := range all {
		to.add(m.from.line, 1, m.from.size)
		if h, ok := s.held[m.id]; ok && h.seg == m.from.seg {
			h.seg, h.off = to, m.off
			s.held[m.id] = h
		} else if m.from.seg.isDone(m.from.off) {
			done = append(done, m)
		}
	}
	for _, g := range run { // last, so that never fewer seem to wait than do
		for n, c := range g.counts {
			g.add(n, -c.records, -c.bytes)
		}
	}
	at := slices.IndexFunc(s.segments, func(g *segment) bool { return g.name.first >= to.name.first })
	if at < 0 {
		at = len(s.segments)
	}
	s.segments = slices.Insert(s.segments, at, to)
	s.total += to.size
	for _, g := range run {
		if !g.gone { // as it is if all of it is done meanwhile
			s.drop(g)
		}
	}
	for _, m := range done {
		h := hand{line: m.from.line, seg: to, off: m.off, size: m.from.size}
		h.line.grow(h.size) // which it has not any more
		s.endLogged(m.id, h)
	}
	s.leave(to)
}
