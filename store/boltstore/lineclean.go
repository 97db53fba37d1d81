package boltstore

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"

	"apnsbridge/store"
)

// many is how many neighbouring segments become one in any case, if all that is
// left in them has room in one: each start of the program begins one.
const many = 16

// clean writes neighbouring segments anew if at least one of so many parts of their
// bytes is done, and reports whether. The caller has s.cleaning.
func (s *LineSpool) clean(parts int64) bool {
	if parts > 2 {
		s.rollSparse(parts)
	}
	s.mu.Lock()
	run := s.sparse(parts)
	for _, g := range run {
		g.renewed, g.renews = nil, true
	}
	s.mu.Unlock()
	if len(run) == 0 {
		return false
	}
	err := s.renew(run)
	s.mu.Lock()
	for _, g := range run {
		g.renewed, g.renews = nil, false
	}
	s.mu.Unlock()
	if err != nil {
		s.failing.note(err, 0, s.now())
	}
	return err == nil
}

// rollSparse seals the current segment if so much in it is done.
func (s *LineSpool) rollSparse(parts int64) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	g := s.current
	sparse := g != nil && g.size > g.live && (g.size-g.live)*parts >= g.size
	s.mu.Unlock()
	if sparse {
		s.roll()
	}
}

// sparse gives the neighbours of which most is done, if it is enough.
func (s *LineSpool) sparse(parts int64) (run []*segment) {
	most := int64(0)
	for i, first := range s.segments {
		size, live, n := int64(0), int64(0), 0
		for _, g := range s.segments[i:] {
			if !g.sealed || g.name.salt != first.name.salt || n > 0 && live+g.live > s.bounds.segment {
				break
			}
			size, live, n = size+g.size, live+g.live, n+1
		}
		if dead := size - live; dead > most && dead*parts >= size || run == nil && n >= many {
			run, most = slices.Clone(s.segments[i:i+n]), dead
		}
	}
	return run
}

// renew has one segment take the place of a run.
func (s *LineSpool) renew(run []*segment) (err error) {
	last := run[len(run)-1]
	name := segmentName{first: run[0].name.first, last: last.last, salt: last.name.salt}
	for _, g := range run {
		name.generation = max(name.generation, g.name.generation+1)
	}
	g := &segment{name: name, last: last.last, path: s.path(name.String()), sealed: true, index: new(index)}
	f, err := os.OpenFile(g.path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(g.path + newEnd) // if it still has that name
	w := bufio.NewWriterSize(f, scanBytes)
	c := copying{to: g, sections: make(map[*line]*section), out: w}
	for i := 0; i < len(run) && err == nil; i++ {
		err = s.copyLeft(&c, run[i])
	}
	if err == nil {
		_, err = w.Write(g.footer())
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(g.path+newEnd, g.path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err == nil {
		s.replace(run, g)
	}
	return err
}

// copying is what is done while a segment is written anew.
type copying struct {
	to       *segment
	sections map[*line]*section
	out      io.Writer
}

// copyLeft copies what is left in a segment, as it stands there.
func (s *LineSpool) copyLeft(c *copying, from *segment) error {
	s.mu.Lock()
	if from.index == nil {
		if err := s.load(from); err != nil || from.index == nil {
			s.mu.Unlock()
			return errors.Join(err, store.ErrClosed)
		}
	}
	x, done := from.index, slices.Clone(from.index.done)
	s.mu.Unlock()
	f, err := os.Open(from.path)
	if err != nil {
		return err
	}
	defer f.Close()
	var buf []byte
	for i := 0; i < len(x.ids); {
		if done.has(i) {
			i++
			continue
		}
		start, end := int64(x.offs[i]), int64(x.offs[i])
		for ; i < len(x.ids) && !done.has(i) && int64(x.offs[i]) == end && end-start < scanBytes; i++ {
			c.add(from, x, i, c.to.size+end-start)
			end += int64(x.sizes[i])
		}
		buf = slices.Grow(buf[:0], int(end-start))[:end-start]
		if _, err := f.ReadAt(buf, start); err != nil {
			return err
		}
		if _, err := c.out.Write(buf); err != nil {
			return err
		}
		c.to.size += end - start
	}
	return nil
}

// add notes that the ith record of a segment will be found at an offset.
func (c *copying) add(from *segment, x *index, i int, at int64) {
	old := from.sections[x.sections[i]]
	n := c.sections[old.line]
	if n == nil {
		n = &section{seg: c.to, line: old.line, number: uint16(len(c.to.sections)), put: old.put}
		c.sections[old.line] = n
		c.to.sections = append(c.to.sections, n)
	}
	c.to.index.add(x.ids[i], at, int(x.sizes[i]), x.tokens[i], int64(x.expires[i]), n.number)
}

// replace has g take the place of a run, of which some may be done meanwhile.
func (s *LineSpool) replace(run []*segment, g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := g.index
	for i, id := range x.ids {
		p, out := g.sections[x.sections[i]], 0
		if h, ok := s.held[id]; ok && h.section != nil {
			h.section, out = p, 1
			s.held[id] = h
			x.busy.add(i)
		}
		p.add(1, out, int64(x.sizes[i]))
	}
	g.soonest = x.soonest()
	s.segments = slices.Insert(s.segments, slices.Index(s.segments, run[0]), g)
	s.total += g.size
	for _, p := range g.sections {
		at, _ := slices.BinarySearchFunc(p.line.sections, g.name.first, func(q *section, first uint64) int {
			if q.seg.name.first < first {
				return -1
			}
			return 1
		})
		p.line.sections = slices.Insert(p.line.sections, at, p)
	}
	s.keep(g)
	for _, old := range run {
		for _, id := range old.renewed {
			if i, ok := x.place(id); ok && !x.done.has(i) {
				p := g.sections[x.sections[i]]
				p.add(-1, 0, -int64(x.sizes[i]))
				s.mark(p, id, x.sizes[i])
			}
		}
		s.drop(old)
		s.leaving = append(s.leaving, old)
	}
	s.leave(g)
}
