package seglog

import (
	"bufio"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
)

// renewal is a segment that is to take the place of a run.
type renewal struct {
	*segment
	run    []*segment
	before bitmap    // what was done of them when it was begun, or had left
	there  []counted // what it has
}

// rewrite has one segment take the place of a run: first on disk, then in memory. If
// expired is set, what has expired and is not checked out leaves. unread is one of the run
// that keeps it from that: it is lost, or an error says why it cannot be read.
func (l *Log) rewrite(run []*segment, expired bool) (unread *segment, err error) {
	name := run[0].name
	for _, g := range run {
		name.generation = max(name.generation, g.name.generation+1)
	}
	to := &renewal{segment: newSegment(l.Dir, name), run: run}
	to.Last, to.Put = run[len(run)-1].Last, run[0].Put
	l.mu.Lock()
	to.before = to.doneIn(run)
	to.joinLeft(&to.before)
	l.mu.Unlock()
	for i, next := range run[1:] { // what stood between two is done: a reader may have it in hand still
		for id := run[i].Last + 1; id < next.name.first; id++ {
			to.before.add(to.bit(id))
		}
	}
	f, err := os.OpenFile(to.path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(to.path + newEnd) // if it still has that name
	w := bufio.NewWriterSize(f, scanBytes)
	for _, g := range run {
		if err := l.copyTo(to, w, g, expired); err != nil || g.lost {
			f.Close()
			return g, err
		}
	}
	if err = errors.Join(w.Flush(), f.Sync(), f.Close()); err == nil {
		err = writeSummary(to.path, to.summary, true) // it may have a higher ID than is left in the segment
	}
	if err == nil {
		err = l.takePlace(to)
	}
	return nil, err
}

// copyTo appends to w, which is that of to, what is left of g. What is of no line goes: it
// is given by no reader.
func (l *Log) copyTo(to *renewal, w *bufio.Writer, g *segment, expired bool) error {
	now := l.Now().Unix()
	tallyOf := l.tallies()
	return l.scan(g, 0, g.Size, func(sc *scanner, f Frame, at int64) bool {
		t := tallyOf(f.Name)
		if t == nil || to.before.has(to.bit(f.ID)) {
			return true
		}
		if expired && f.Expires != 0 && f.Expires <= now {
			if l.Expire(f) {
				return true
			}
		} else {
			to.expires(f.Expires)
		}
		to.there = append(to.there, counted{t, f.ID, to.Size, int64(f.Size)})
		to.Size += int64(f.Size)
		w.Write(sc.read(at, f.Size)[:f.Size]) // what goes wrong Flush says
		return true
	})
}

// takePlace puts a segment that is written into the place of its run. No Put returns until it
// is there in memory too: it carries what was done before it, and the old segments' marks go
// with them.
func (l *Log) takePlace(to *renewal) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.carryMarks(to); err != nil {
		return err
	}
	if err := os.Rename(to.path+newEnd, to.path); err != nil {
		return err
	}
	// The next process would take it: so does this one, even if the rest fails.
	l.CheckedOut(func(held iter.Seq[Out]) { l.replace(to, held) })
	l.replaced = append(l.replaced, to.run...)
	l.removeReplaced() // or Flush does, and says what goes wrong
	return nil
}

// removeReplaced removes the segments whose place others have taken, once that is durable.
// Nothing that is done since is so before, and none of those others goes: with these it
// would come again.
func (l *Log) removeReplaced() error {
	if len(l.replaced) == 0 {
		return nil
	}
	err := syncDir(l.Dir)
	if err != nil {
		return err
	}
	l.replaced = slices.DeleteFunc(l.replaced, func(g *segment) bool {
		failed := g.remove()
		err = errors.Join(err, failed)
		return failed == nil
	})
	return err
}

// doneIn is what is done of a run, with the places that it has in g.
func (g *segment) doneIn(run []*segment) (all bitmap) {
	for _, old := range run {
		all.join(old.done, g.bit(old.name.first&^63)/64)
	}
	return all
}

// joinLeft adds what has left the run to m, with the places that it has in the new segment.
func (to *renewal) joinLeft(m *bitmap) {
	for _, g := range to.run {
		m.join(g.left, to.bit(g.name.first&^63)/64)
	}
}

// carryMarks marks in the new segment what was done since it was copied.
func (l *Log) carryMarks(to *renewal) error {
	// Marks of a segment of that name, which did not come to be, may be there.
	if err := os.Remove(beside(to.path, marksEnd)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	since := to.doneIn(to.run).without(to.before)
	l.mu.Unlock()
	if len(since) == 0 {
		return nil
	}
	return errors.Join(writeMarks(to.path, since, 0), syncMarks(to.path))
}

// replace has a segment take the place of its run, of which some may be done meanwhile. What
// it counts is what it has, however wrong the counts were that had it written.
func (l *Log) replace(to *renewal, held iter.Seq[Out]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.done, to.left = to.doneIn(to.run).without(to.before), to.before
	to.joinLeft(&to.left)
	for _, g := range to.run {
		to.absent.join(g.absent, to.bit(g.name.first&^63)/64)
	}
	to.unwritten(0, len(to.done))
	if len(to.absent) == 0 { // all that is checked out is there, and need not be looked for
		held = func(func(Out) bool) {}
	}
	to.recount(to.there, held) // before the others do not count, so that never fewer seem to wait than do
	for _, g := range to.run {
		for n, c := range g.counts {
			g.add(n, -c.Records, -c.Bytes)
		}
		g.gone = true
		l.size -= g.Size
	}
	l.size += to.Size
	at := slices.Index(l.segments, to.run[0])
	l.segments = slices.Replace(l.segments, at, at+len(to.run), to.segment)
}
