package boltstore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"slices"
	"syscall"
)

// index is where the records of a segment stand, in the order of their IDs: 28
// bytes for each.
type index struct {
	ids        []uint64
	offs       []uint32
	sizes      []uint32 // of frames
	tokens     []uint32 // hashes
	expires    []uint32
	sections   []uint16
	busy, done bitmap // busy: done, or in somebody's hands
	used       uint64 // when it was last, by s.uses
}

func (x *index) add(id uint64, off int64, size int, token uint32, expires int64, section uint16) {
	x.ids = append(x.ids, id)
	x.offs = append(x.offs, uint32(off))
	x.sizes = append(x.sizes, uint32(size))
	x.tokens = append(x.tokens, token)
	x.expires = append(x.expires, uint32(max(0, min(expires, math.MaxUint32))))
	x.sections = append(x.sections, section)
	if len(x.ids) > 64*len(x.busy) {
		x.busy, x.done = append(x.busy, 0), append(x.done, 0)
	}
}

func (x *index) place(id uint64) (i int, ok bool) { return slices.BinarySearch(x.ids, id) }

// end says that a record is done.
func (x *index) end(id uint64) {
	if i, ok := x.place(id); ok {
		x.busy.add(i)
		x.done.add(i)
	}
}

// free is the first from i on that is not busy, or len(x.ids).
func (x *index) free(i int) int {
	for w := i / 64; w < len(x.busy); w++ {
		open := ^x.busy[w]
		if w == i/64 {
			open &= ^uint64(0) << (i % 64)
		}
		if open != 0 {
			return min(64*w+bits.TrailingZeros64(open), len(x.ids))
		}
	}
	return len(x.ids)
}

// soonest is when the first record expires that is not done; 0: none does.
func (x *index) soonest() (at uint32) {
	for i, e := range x.expires {
		if e != 0 && (at == 0 || e < at) && !x.done.has(i) {
			at = e
		}
	}
	return at
}

// maxLoaded bounds the indexes in memory, of 1.2 MB each in a segment of records of
// 400 bytes.
const maxLoaded = 6

// load has the index of a sealed segment in memory. The caller has s.mu, which is
// let go of meanwhile: what it knew of lines and segments may have changed.
func (s *LineSpool) load(g *segment) error {
	s.mu.Unlock()
	g.loading.Lock()
	defer g.loading.Unlock()
	s.mu.Lock()
	if g.index != nil || g.gone {
		return nil
	}
	g.loads, g.since = true, nil
	marks := slices.Clone(g.marks)
	s.mu.Unlock()
	x, holes, err := s.readIndex(g)
	if err == nil {
		var written []byte
		written, err = g.readMarks()
		marks = append(written, marks...)
	}
	s.mu.Lock()
	g.loads = false
	switch {
	case g.gone: // it was written anew
		return nil
	case err != nil:
		return s.unreadable(g, err)
	}
	eachMark(marks, func(id uint64, _ uint32, _ uint16) { x.end(id) })
	for _, id := range g.since {
		x.end(id)
	}
	s.install(g, x)
	s.foundHoles(g, holes)
	return nil
}

// install makes x the index of g, and has the figures of g be those of x.
func (s *LineSpool) install(g *segment, x *index) {
	left, out, bytes := make([]int, len(g.sections)), make([]int, len(g.sections)), make([]int64, len(g.sections))
	held := 0
	for _, p := range g.sections {
		held += p.out
	}
	for i, id := range x.ids {
		if x.done.has(i) {
			continue
		}
		n := x.sections[i]
		left[n]++
		bytes[n] += int64(x.sizes[i])
		if held > 0 && s.held[id].section == g.sections[n] {
			x.busy.add(i)
			out[n]++
		}
	}
	for n, p := range g.sections {
		p.add(left[n]-p.left, out[n]-p.out, bytes[n]-p.bytes)
	}
	g.index, g.soonest = x, x.soonest()
	s.keep(g)
}

// keep has the index of a sealed segment stay in memory, and another one go.
func (s *LineSpool) keep(g *segment) {
	s.loaded = append(s.loaded, g)
	s.use(g.index)
	if len(s.loaded) > maxLoaded {
		s.unload(slices.MinFunc(s.loaded, func(a, b *segment) int { return cmp.Compare(a.index.used, b.index.used) }))
	}
}

func (s *LineSpool) use(x *index) {
	s.uses++
	x.used = s.uses
}

func (s *LineSpool) unload(g *segment) {
	g.index = nil
	s.loaded = slices.DeleteFunc(s.loaded, func(h *segment) bool { return h == g })
}

// readIndex reads through a segment. Records of sections that it is not known to have
// get such.
func (s *LineSpool) readIndex(g *segment) (x *index, holes []gap, err error) {
	f, err := os.Open(g.path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	numbers := make(map[string]uint16)
	for _, p := range g.sections {
		numbers[p.line.name] = p.number
	}
	x = new(index)
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	sc := scanner{from: f, salt: g.name.salt, size: info.Size(), buf: (*buf)[:0]}
	end := int64(0)
	for {
		frame, at, ok, err := sc.next()
		*buf = sc.buf
		if err != nil {
			return nil, nil, err
		}
		if !ok || frame.kind == footerFrame {
			break
		}
		end = sc.at
		if frame.kind != logFrame || len(x.ids) > 0 && frame.id <= x.ids[len(x.ids)-1] {
			continue
		}
		n, known := numbers[string(frame.name)]
		if !known {
			p, ok := s.addSection(g, string(frame.name), frame.put)
			if !ok {
				continue
			}
			n, numbers[p.line.name] = p.number, p.number
		}
		x.add(frame.id, at, frame.size, s.tokenHash(frame.token), frame.expires, n)
	}
	if !g.sealed {
		g.size = end
		if len(x.ids) > 0 {
			g.last = max(g.last, x.ids[len(x.ids)-1])
		}
	}
	return x, sc.gaps, nil
}

// addSection gives a segment a section more, unless it is sealed.
func (s *LineSpool) addSection(g *segment, name string, put uint32) (*section, bool) {
	l, ok := parseLine(name)
	if !ok || g.sealed {
		return nil, false
	}
	p := &section{seg: g, line: s.line(l), number: uint16(len(g.sections)), put: put}
	g.sections = append(g.sections, p)
	p.line.sections = append(p.line.sections, p)
	return p, true
}

// unreadable says that a segment cannot be read. If that is the disk's fault it is
// set aside with its marks, and what was in it does not wait any more.
func (s *LineSpool) unreadable(g *segment, err error) error {
	if !errors.Is(err, syscall.EIO) {
		return err
	}
	aside, failed := setAside(g.path, s.now())
	if failed != nil {
		return errors.Join(err, failed)
	}
	os.Rename(g.marksPath(), aside+marksEnd) // if there are any
	s.drop(g)
	s.aside = append(s.aside, aside)
	s.broken++
	return fmt.Errorf("%w: it is kept as %s", err, aside)
}
