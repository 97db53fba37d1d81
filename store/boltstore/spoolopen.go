package boltstore

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// openLog counts what is in the log. Nobody else is at work yet.
func (s *Spool) openLog() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var names []segmentName
	for _, e := range entries {
		path := s.path(e.Name())
		log, marks := strings.CutSuffix(path, marksEnd)
		if name, ok := parseSegmentName(e.Name()); ok {
			names = append(names, name)
		} else if strings.HasSuffix(path, newEnd) || marks && !fileExists(log+segmentEnd) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	slices.SortFunc(names, func(a, b segmentName) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.generation, a.generation))
	})
	for _, name := range names {
		g := newSegment(s.dir, name)
		if last := len(s.segments) - 1; last >= 0 && name.first <= s.segments[last].Last {
			err = errors.Join(err, g.remove()) // that one has taken its place
			continue
		}
		if err := s.openSegment(g); err != nil {
			return err
		}
		s.segments = append(s.segments, g)
		s.total += g.Size
		s.lastID = max(s.lastID, g.Last)
	}
	s.queues.moved, s.queues.summaries = nil, nil
	return err
}

// openSegment counts what is in a segment: as its summary says or, where something is
// done, by reading it. What was moved to a queue is done.
func (s *Spool) openSegment(g *segment) (err error) {
	info, err := os.Stat(g.path)
	if err != nil {
		return err
	}
	if g.done, err = readMarks(g.path); err != nil {
		return err
	}
	g.Size = info.Size()
	if known, ok := s.queues.summaries[g.name.String()]; ok && known.Size <= g.Size {
		g.summary, g.summarized = known, true
	}
	from, _ := slices.BinarySearch(s.queues.moved, g.name.first)
	for _, id := range s.queues.moved[from:] {
		if g.summarized && id > g.Last {
			break
		}
		g.setDone(id)
	}
	if g.done != nil || g.Lines == nil {
		err = s.count(g)
	} else {
		for _, l := range g.Lines {
			g.add(s.line(l.Line), l.Records, l.Bytes)
		}
	}
	for n := range g.counts {
		n.seen(g.Put)
	}
	g.Lines = nil
	return err
}

// counted is a frame of a segment that is counted.
type counted struct {
	line *line
	id   uint64
	at   int64
	size int64
}

// count reads a segment and counts what is in it and not done. Of one that is not
// known, as a process has left it, it finds the end. The caller has s.writing, or is
// alone.
func (s *Spool) count(g *segment) error {
	var there []counted
	var n *line
	unknown := g.Put == 0
	gaps, err := s.readSegment(g, 0, g.Size, func(_ *scanner, f frame, at int64) bool {
		if n == nil || n.name != string(f.name) {
			l, ok := parseLine(string(f.name))
			if !ok {
				return true
			}
			s.mu.Lock()
			n = s.line(l)
			s.mu.Unlock()
		}
		there = append(there, counted{n, f.id, at, int64(f.size)})
		if unknown {
			g.Last = max(g.Last, f.id)
			g.expires(f.expires)
			if g.Put == 0 {
				g.Put = int64(f.put)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.gone {
		return nil
	}
	if last := len(gaps) - 1; unknown && last >= 0 && gaps[last].at+gaps[last].size == g.Size {
		s.quarantine(g.path, gaps[last]) // what was being written, most likely
		g.Size, gaps = gaps[last].at, gaps[:last]
	}
	for _, hole := range gaps {
		if !slices.Contains(g.holes, hole) {
			s.broken++
			s.quarantine(g.path, hole)
		}
	}
	g.holes = gaps
	counts, found := make(map[*line]lineCount), bitmap(nil)
	tally := func(n *line, records int, bytes int64) {
		c := counts[n]
		counts[n] = lineCount{c.Records + records, c.Bytes + bytes}
	}
	for _, f := range there {
		g.found(f.id, f.at)
		if found.add(g.bit(f.id)); !g.isDone(f.id) {
			tally(f.line, 1, f.size)
		}
	}
	for id, h := range s.held { // what is damaged now, and checked out, still ends there
		if h.device == 0 && g.name.first <= id && id <= g.Last && !found.has(g.bit(id)) {
			tally(h.line, 1, h.size)
		}
	}
	for n := range g.counts {
		tally(n, 0, 0)
	}
	for n, c := range counts {
		before := g.counts[n]
		g.add(n, c.Records-before.Records, c.Bytes-before.Bytes)
	}
	return nil
}

// readSegment calls fn for the frames in a part of a segment, until it is false, and
// says what there is beside frames.
func (s *Spool) readSegment(
	g *segment, from, end int64, fn func(sc *scanner, f frame, at int64) bool,
) (gaps []gap, err error) {
	file, err := os.Open(g.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buf := s.buffers.Get().(*[]byte)
	sc := scanner{from: file, salt: g.name.salt, size: end, at: from, buf: (*buf)[:0]}
	for f, at, ok := sc.next(); ok && fn(&sc, f, at); f, at, ok = sc.next() {
	}
	*buf = sc.buf
	s.buffers.Put(buf)
	return sc.gaps, nil
}

// scan is readSegment for one that is in use. What is damaged of it is told and does
// not count any more.
func (s *Spool) scan(g *segment, from, end int64, fn func(sc *scanner, f frame, at int64) bool) error {
	gaps, err := s.readSegment(g, from, end, fn)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := !slices.ContainsFunc(gaps, func(h gap) bool { return !slices.Contains(g.holes, h) })
	s.mu.Unlock()
	if known {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.count(g)
}

const (
	brokenName = "broken"
	brokenMax  = 4 << 20 // bytes of that file
)

// quarantine keeps bytes of a file for the operator, as far as there is room. What
// goes wrong with that harms nothing.
func (s *Spool) quarantine(path string, part gap) {
	from, err := os.Open(path)
	if err != nil {
		return
	}
	defer from.Close()
	s.keepBroken(io.NewSectionReader(from, part.at, part.size))
}

func (s *Spool) keepBroken(from io.Reader) {
	f, err := os.OpenFile(s.path(brokenName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		io.CopyN(f, from, max(0, brokenMax-info.Size()))
	}
}
