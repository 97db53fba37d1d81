package seglog

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

// DropExpired writes segments anew without what has expired.
func (l *Log) DropExpired() {
	l.mu.Lock()
	due := slices.DeleteFunc(slices.Clone(l.segments), func(g *segment) bool { return g == l.current || !l.isDue(g) })
	l.mu.Unlock()
	for _, g := range due {
		l.WithRoom(func() error { return l.renew([]*segment{g}, true) })
	}
}

// isDue reports whether something in a segment has expired.
func (l *Log) isDue(g *segment) bool { return g.Soonest != 0 && g.Soonest <= l.Now().Unix() }

// RollSparse ends the current segment if an eighth of it is done or something has
// expired, so that it can be removed or written anew.
func (l *Log) RollSparse() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	g := l.current
	ends := g != nil && (l.isDue(g) || g.Size > g.live.Bytes && (g.Size-g.live.Bytes)*8 >= g.Size)
	l.mu.Unlock()
	if ends {
		l.roll()
	}
}

// Clean writes neighbouring segments anew if at least one of so many parts of their
// bytes is done, and reports whether. It is called by one at a time, and so are Flush,
// DropExpired and RollSparse.
func (l *Log) Clean(parts int64) bool {
	l.mu.Lock()
	run := l.sparse(parts)
	l.mu.Unlock()
	if len(run) == 0 {
		return false
	}
	return l.WithRoom(func() error { return l.renew(run, false) }) == nil
}

// sparse gives the neighbours of which most is done, if it is enough.
func (l *Log) sparse(parts int64) (run []*segment) {
	most := int64(0)
	for i, first := range l.segments {
		size, live, n := int64(0), int64(0), 0
		for _, g := range l.segments[i:] {
			if g == l.current || g.name.salt != first.name.salt || g.Last-first.name.first >= maxSegmentIDs ||
				n > 0 && live+g.live.Bytes > l.Segment {
				break
			}
			size, live, n = size+g.Size, live+g.live.Bytes, n+1
		}
		if dead := size - live; dead > most && dead*parts >= size || run == nil && n >= manySegments {
			run, most = slices.Clone(l.segments[i:i+n]), dead
		}
	}
	return run
}

// renew has one segment take the place of a run: first on disk, then in memory. If
// expired is set, what has expired and is not checked out leaves.
func (l *Log) renew(run []*segment, expired bool) (err error) {
	name := run[0].name
	for _, g := range run {
		name.generation = max(name.generation, g.name.generation+1)
	}
	to := newSegment(l.Dir, name)
	to.Last, to.Put = run[len(run)-1].Last, run[0].Put
	f, err := os.OpenFile(to.path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(to.path + newEnd) // if it still has that name
	l.mu.Lock()
	before := to.doneIn(run)
	l.mu.Unlock()
	w := bufio.NewWriterSize(f, scanBytes)
	now := l.Now().Unix()
	for _, g := range run {
		err = errors.Join(err, l.scan(g, 0, g.Size, func(sc *scanner, f Frame, at int64) bool {
			switch {
			case before.has(to.bit(f.ID)):
				return true
			case expired && f.Expires != 0 && f.Expires <= now:
				if l.Expire(f) {
					return true
				}
			default:
				to.expires(f.Expires)
			}
			to.found(f.ID, to.Size)
			to.Size += int64(f.Size)
			w.Write(sc.read(at, f.Size)[:f.Size]) // what goes wrong Flush says
			return true
		}))
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err == nil { // the new one may have a lower ID than was given
		err = writeSummary(to.path, to.summary, true)
	}
	// No Put returns from here on until the new segment is there in memory too: it
	// carries what was done before it, and the old segments' marks go with them.
	l.writing.Lock()
	defer l.writing.Unlock()
	if err == nil {
		err = l.carryMarks(to, run, before)
	}
	if err == nil {
		err = os.Rename(to.path+newEnd, to.path)
	}
	if err == nil {
		err = syncDir(l.Dir)
	}
	if err == nil {
		l.replace(run, to, before)
		for _, g := range run {
			err = errors.Join(err, g.remove())
		}
	}
	return err
}

// doneIn is what is done of a run, with the places that it has in g.
func (g *segment) doneIn(run []*segment) (all bitmap) {
	for _, old := range run {
		all.join(old.done, g.bit(old.name.first&^63)/64)
	}
	return all
}

// carryMarks marks in the new segment what was done since it was copied.
func (l *Log) carryMarks(to *segment, run []*segment, before bitmap) error {
	// Marks of a segment of that name, which did not come to be, may be there.
	if err := os.Remove(beside(to.path, marksEnd)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	since := to.doneIn(run).without(before)
	l.mu.Unlock()
	if len(since) == 0 {
		return nil
	}
	return errors.Join(writeMarks(to.path, since, 0), syncMarks(to.path))
}

// replace has a segment take the place of a run, of which some may be done meanwhile.
func (l *Log) replace(run []*segment, to *segment, before bitmap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.done, to.left = to.doneIn(run).without(before), before
	for _, g := range run {
		to.left.join(g.left, to.bit(g.name.first&^63)/64)
	}
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
		l.size -= g.Size
	}
	l.size += to.Size
	at := slices.Index(l.segments, run[0])
	l.segments = slices.Replace(l.segments, at, at+len(run), to)
}
