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

// makeRoom gives back what is done or has expired, for a Put that has no room, even if
// only one of so many parts of some segments is.
func (s *Spool) makeRoom(parts int64) {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	s.rollSparse()
	s.flush()
	s.mu.Lock()
	due := slices.DeleteFunc(slices.Clone(s.segments), func(g *segment) bool { return g == s.current || !s.isDue(g) })
	s.mu.Unlock()
	for _, g := range due {
		s.withRoom(func() error { return s.renew([]*segment{g}, true) })
	}
	for s.clean(8) {
	}
	s.clean(parts)
	s.flush()
}

// isDue reports whether something in a segment has expired.
func (s *Spool) isDue(g *segment) bool { return g.Soonest != 0 && g.Soonest <= s.now().Unix() }

// rollSparse ends the current segment if an eighth of it is done or something has
// expired, so that it can be removed or written anew.
func (s *Spool) rollSparse() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	g := s.current
	ends := g != nil && (s.isDue(g) || g.Size > g.live.Bytes && (g.Size-g.live.Bytes)*8 >= g.Size)
	s.mu.Unlock()
	if ends {
		s.roll()
	}
}

// clean writes neighbouring segments anew if at least one of so many parts of their
// bytes is done, and reports whether. The caller has s.cleaning.
func (s *Spool) clean(parts int64) bool {
	s.mu.Lock()
	run := s.sparse(parts)
	s.mu.Unlock()
	if len(run) == 0 {
		return false
	}
	return s.withRoom(func() error { return s.renew(run, false) }) == nil
}

// sparse gives the neighbours of which most is done, if it is enough.
func (s *Spool) sparse(parts int64) (run []*segment) {
	most := int64(0)
	for i, first := range s.segments {
		size, live, n := int64(0), int64(0), 0
		for _, g := range s.segments[i:] {
			if g == s.current || g.name.salt != first.name.salt || g.Last-first.name.first >= maxSegmentIDs ||
				n > 0 && live+g.live.Bytes > s.bounds.segment {
				break
			}
			size, live, n = size+g.Size, live+g.live.Bytes, n+1
		}
		if dead := size - live; dead > most && dead*parts >= size || run == nil && n >= manySegments {
			run, most = slices.Clone(s.segments[i:i+n]), dead
		}
	}
	return run
}

// renew has one segment take the place of a run: first on disk, then in memory. If
// expired is set, what has expired and is not checked out leaves. The caller has
// s.cleaning.
func (s *Spool) renew(run []*segment, expired bool) (err error) {
	name := run[0].name
	for _, g := range run {
		name.generation = max(name.generation, g.name.generation+1)
	}
	to := newSegment(s.dir, name)
	to.Last, to.Put = run[len(run)-1].Last, run[0].Put
	f, err := os.OpenFile(to.path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(to.path + newEnd) // if it still has that name
	s.mu.Lock()
	before := to.doneIn(run)
	s.mu.Unlock()
	w := bufio.NewWriterSize(f, scanBytes)
	now := s.now().Unix()
	for _, g := range run {
		err = errors.Join(err, s.scan(g, 0, g.Size, func(sc *scanner, f frame, at int64) bool {
			switch {
			case before.has(to.bit(f.id)):
				return true
			case expired && f.expires != 0 && f.expires <= now:
				if s.expire(f) {
					return true
				}
			default:
				to.expires(f.expires)
			}
			to.found(f.id, to.Size)
			to.Size += int64(f.size)
			w.Write(sc.read(at, f.size)[:f.size]) // what goes wrong Flush says
			return true
		}))
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	// No Put returns from here on until the new segment is there in memory too: it
	// carries what was done before it, and the old segments' marks go with them.
	s.writing.Lock()
	defer s.writing.Unlock()
	if err == nil {
		err = s.carryMarks(to, run, before)
	}
	if err == nil {
		err = os.Rename(to.path+newEnd, to.path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err == nil {
		s.replace(run, to, before)
		for _, g := range run {
			err = errors.Join(err, g.remove())
		}
	}
	return err
}

// expire ends a record of the log, unless it is checked out.
func (s *Spool) expire(f frame) bool {
	l, _ := parseLine(string(f.name))
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known(l)
	if _, held := s.held[f.id]; held || n == nil || s.segment(f.id).isDone(f.id) {
		return false
	}
	s.expired++
	n.waiting.Add(-1)
	s.endLogged(f.id, hand{line: n, size: int64(f.size)})
	return true
}

// doneIn is what is done of a run, with the places that it has in g.
func (g *segment) doneIn(run []*segment) (all bitmap) {
	for _, old := range run {
		at := g.bit(old.name.first&^63) / 64
		all = append(all, make(bitmap, max(0, at+len(old.done)-len(all)))...)
		for i, word := range old.done {
			all[at+i] |= word
		}
	}
	return all
}

// carryMarks marks in the new segment what was done since it was copied.
func (s *Spool) carryMarks(to *segment, run []*segment, before bitmap) error {
	// Marks of a segment of that name, which did not come to be, may be there.
	if err := os.Remove(marksPath(to.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	since := to.doneIn(run).without(before)
	s.mu.Unlock()
	if len(since) == 0 {
		return nil
	}
	return errors.Join(writeMarks(to.path, since, 0), syncMarks(to.path))
}

// replace has a segment take the place of a run, of which some may be done meanwhile.
func (s *Spool) replace(run []*segment, to *segment, before bitmap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.done = to.doneIn(run).without(before)
	to.unwritten(0, len(to.done))
	for _, g := range run { // so that never fewer seem to wait than do
		for n, c := range g.counts {
			to.add(n, c.Records, c.Bytes)
		}
	}
	for _, g := range run {
		for n, c := range g.counts {
			g.add(n, -c.Records, -c.Bytes)
		}
		g.gone = true
		s.total -= g.Size
	}
	s.total += to.Size
	at := slices.Index(s.segments, run[0])
	s.segments = slices.Replace(s.segments, at, at+len(run), to)
}
