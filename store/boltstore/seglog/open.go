package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Open opens the log in a directory and counts what is in it, or begins one.
func Open(c Config) (*Log, error) {
	l := &Log{Config: c, buffers: sync.Pool{New: func() any { return new([]byte) }}}
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return nil, err
	}
	var names []Name
	for _, e := range entries {
		path := l.path(e.Name())
		end := filepath.Ext(path)
		if name, ok := ParseName(e.Name()); ok {
			names = append(names, name)
		} else if end == newEnd ||
			(end == marksEnd || end == summaryEnd) && !exists(strings.TrimSuffix(path, end)+segmentEnd) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.generation, a.generation))
	})
	for _, name := range names {
		g := newSegment(l.Dir, name)
		if last := len(l.segments) - 1; last >= 0 && name.first <= l.segments[last].Last {
			by := l.segments[last]
			if name.generation >= by.name.generation {
				return nil, fmt.Errorf("%s has IDs that %s has too: move it away, and import it then", g.path, by.path)
			}
			err = errors.Join(err, g.remove()) // that one has taken its place
			continue
		}
		if err := l.openSegment(g); err != nil {
			return nil, err
		}
		l.segments = append(l.segments, g)
		l.size += g.Size
	}
	l.Moved = nil
	return l, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// openSegment counts what is in a segment: as its summary says or, where something is
// done, by reading it. What was moved is done.
func (l *Log) openSegment(g *segment) (err error) {
	info, err := os.Stat(g.path)
	if err != nil {
		return err
	}
	if g.done, err = readMarks(g.path); err != nil {
		return err
	}
	g.Size = info.Size()
	if known, ok := readSummary(g.path); ok && known.Size <= g.Size {
		g.summary, g.summarized = known, true
	}
	from, _ := slices.BinarySearch(l.Moved, g.name.first)
	for _, id := range l.Moved[from:] {
		if g.summarized && id > g.Last {
			break
		}
		g.setDone(id)
	}
	if g.done != nil || g.Counts == nil {
		err = l.count(g)
	} else {
		for name, c := range g.Counts {
			if t := l.Tally(name); t != nil {
				g.add(t, c.Records, c.Bytes)
			}
		}
	}
	g.summarized = g.summarized && (g.done != nil || g.Counts != nil) // else there is more to say
	g.Counts = nil
	return err
}

// counted is a frame of a segment that is counted.
type counted struct {
	tally *Tally
	id    uint64
	at    int64
	size  int64
}

// count reads a segment and counts what is in it and not done. Of one that is not
// known, as a process has left it, it finds the end. The caller has l.writing, or is
// alone. Nothing more is appended to one in which something is damaged.
func (l *Log) count(g *segment) error {
	var there []counted
	unknown, tallyOf := g.Put == 0, l.tallies()
	gaps, err := l.readSegment(g, 0, g.Size, func(_ *scanner, f Frame, at int64) bool {
		t := tallyOf(f.Name)
		if t == nil {
			return true
		}
		there = append(there, counted{t, f.ID, at, int64(f.Size)})
		if unknown {
			g.Last = max(g.Last, f.ID)
			g.expires(f.Expires)
			if g.Put == 0 {
				g.Put = int64(f.Put)
			}
		}
		return true
	})
	lost := !unknown && l.isLost(g, err)
	if lost {
		gaps, err = []gap{{0, g.Size}}, nil
	}
	if err != nil {
		return err
	}
	if len(gaps) > 0 && g == l.current {
		l.roll()
	}
	l.CheckedOut(func(held iter.Seq[Out]) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if g.gone {
			return
		}
		g.lost, g.Put = lost, max(1, g.Put) // and is known from now on
		holes := l.noteGaps(g, gaps, unknown)
		found, fewer := g.recount(there, held)
		l.broken.Add(uint64(max(holes, fewer)))
		for id := g.name.first; len(g.holes) > 0 && id <= g.Last; id++ {
			if !found.has(g.bit(id)) {
				g.left.add(g.bit(id))
			}
		}
	})
	return nil
}

// tallies gives the tallies of names, and asks for that of one after another of the same
// name once.
func (l *Log) tallies() func(name []byte) *Tally {
	var t *Tally
	return func(name []byte) *Tally {
		if t == nil || t.Name != string(name) {
			t = l.Tally(string(name))
		}
		return t
	}
}

// noteGaps notes what there is in a segment beside frames, and says how many pieces are new.
// What is at the end of one that is not known was being written, most likely.
func (l *Log) noteGaps(g *segment, gaps []gap, unknown bool) (holes int) {
	if last := len(gaps) - 1; unknown && last >= 0 && gaps[last].at+gaps[last].size == g.Size {
		l.keepPart(g.path, gaps[last])
		g.Size, gaps = gaps[last].at, gaps[:last]
	}
	for _, hole := range gaps {
		if !slices.Contains(g.holes, hole) {
			holes++
			l.keepPart(g.path, hole)
		}
	}
	g.holes = gaps
	return holes
}

// recount has a segment count what is in it, gives the places of that, and says how many
// records there are less than it has counted before. What is damaged
// now, and checked out, still ends there; what is not checked out has left, though it may be
// readable again, or a reader have it in hand: what does not count is not given.
func (g *segment) recount(there []counted, held iter.Seq[Out]) (found bitmap, lost int) {
	counts := make(map[*Tally]count)
	tally := func(t *Tally, records int, bytes int64) {
		c := counts[t]
		counts[t] = count{c.Records + records, c.Bytes + bytes}
	}
	for _, f := range there {
		g.found(f.id, f.at)
		if found.add(g.bit(f.id)); !g.isDone(f.id) {
			tally(f.tally, 1, f.size)
		}
	}
	for o := range held {
		if g.name.first <= o.ID && o.ID <= g.Last && !g.isDone(o.ID) && !found.has(g.bit(o.ID)) {
			g.absent.add(g.bit(o.ID))
			found.add(g.bit(o.ID))
			tally(o.Tally, 1, o.Size)
		}
	}
	for t := range g.counts {
		tally(t, 0, 0)
	}
	for t, c := range counts {
		before := g.counts[t]
		g.add(t, c.Records-before.Records, c.Bytes-before.Bytes)
		if gone := before.Records - c.Records; gone > 0 {
			t.Lost.Add(int64(gone))
			lost += gone
		}
	}
	return found, lost
}

// readSegment calls fn for the frames in a part of a segment, until it is false, and
// says what there is beside frames.
func (l *Log) readSegment(
	g *segment, from, end int64, fn func(sc *scanner, f Frame, at int64) bool,
) (gaps []gap, err error) {
	file, err := os.Open(g.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buf := l.buffers.Get().(*[]byte)
	sc := scanner{from: file, salt: g.name.salt, size: end, at: from, buf: (*buf)[:0]}
	for f, at, ok := sc.next(); ok && fn(&sc, f, at); f, at, ok = sc.next() {
	}
	*buf = sc.buf
	l.buffers.Put(buf)
	return sc.gaps, nil
}

// isLost reports whether err means that nothing of a segment is to be had in this process any
// more: its file has been removed, and not by the log, or the disk does not give it. What the
// operator can give back is an error.
func (l *Log) isLost(g *segment, err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, fs.ErrNotExist) && !l.isGone(g) && exists(l.Dir)
}

// scan is readSegment for one that is in use. What is damaged of it is told and does
// not count any more.
func (l *Log) scan(g *segment, from, end int64, fn func(sc *scanner, f Frame, at int64) bool) error {
	gaps, err := l.readSegment(g, from, end, fn)
	if err != nil && !l.isLost(g, err) {
		return err
	}
	l.mu.Lock()
	isNew := func(h gap) bool { return !slices.ContainsFunc(g.holes, h.within) }
	known := g.lost || err == nil && !slices.ContainsFunc(gaps, isNew)
	l.mu.Unlock()
	if known {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if counted := l.count(g); !g.lost {
		return cmp.Or(err, counted)
	}
	return nil
}

// keepPart keeps what stands in a part of a file.
func (l *Log) keepPart(path string, part gap) {
	from, err := os.Open(path)
	if err != nil {
		l.keep(strings.NewReader(err.Error() + "\n"))
		return
	}
	defer from.Close()
	l.keep(io.NewSectionReader(from, part.at, part.size))
}
