package seglog

import (
	"cmp"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
		} else if end == newEnd || (end == marksEnd || end == summaryEnd) && !exists(strings.TrimSuffix(path, end)+segmentEnd) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.generation, a.generation))
	})
	for _, name := range names {
		g := newSegment(l.Dir, name)
		if last := len(l.segments) - 1; last >= 0 && name.first <= l.segments[last].Last {
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
// alone.
func (l *Log) count(g *segment) error {
	var there []counted
	var t *Tally
	unknown := g.Put == 0
	gaps, err := l.readSegment(g, 0, g.Size, func(_ *scanner, f Frame, at int64) bool {
		if t == nil || t.Name != string(f.Name) {
			if t = l.Tally(string(f.Name)); t == nil {
				return true
			}
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
	if err != nil {
		return err
	}
	l.CheckedOut(func(held iter.Seq[Out]) { l.recount(g, there, gaps, unknown, held) })
	return nil
}

// recount has a segment count what was found in it. What is damaged now, and checked out,
// still ends there.
func (l *Log) recount(g *segment, there []counted, gaps []gap, unknown bool, held iter.Seq[Out]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.gone {
		return
	}
	if last := len(gaps) - 1; unknown && last >= 0 && gaps[last].at+gaps[last].size == g.Size {
		l.keepPart(g.path, gaps[last]) // what was being written, most likely
		g.Size, gaps = gaps[last].at, gaps[:last]
	}
	for _, hole := range gaps {
		if !slices.Contains(g.holes, hole) {
			l.broken.Add(1)
			l.keepPart(g.path, hole)
		}
	}
	g.holes = gaps
	counts, found := make(map[*Tally]count), bitmap(nil)
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
		if g.name.first <= o.ID && o.ID <= g.Last && !found.has(g.bit(o.ID)) {
			tally(o.Tally, 1, o.Size)
		}
	}
	for t := range g.counts {
		tally(t, 0, 0)
	}
	for t, c := range counts {
		before := g.counts[t]
		g.add(t, c.Records-before.Records, c.Bytes-before.Bytes)
	}
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

// scan is readSegment for one that is in use. What is damaged of it is told and does
// not count any more.
func (l *Log) scan(g *segment, from, end int64, fn func(sc *scanner, f Frame, at int64) bool) error {
	gaps, err := l.readSegment(g, from, end, fn)
	if err != nil {
		return err
	}
	l.mu.Lock()
	known := !slices.ContainsFunc(gaps, func(h gap) bool { return !slices.Contains(g.holes, h) })
	l.mu.Unlock()
	if known {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.count(g)
}

// keepPart keeps what stands in a part of a file.
func (l *Log) keepPart(path string, part gap) {
	from, err := os.Open(path)
	if err != nil {
		return
	}
	defer from.Close()
	l.keep(io.NewSectionReader(from, part.at, part.size))
}
