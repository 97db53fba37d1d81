package boltstore

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

func (s *Spool) path(name string) string { return filepath.Join(s.dir, name) }

// openLog counts what is in the log: as footers say, or, where something is done, by
// reading the segment. What the process did not seal is sealed. Nobody else is at
// work yet.
func (s *Spool) openLog() (err error) {
	if s.segments, err = openSegments(s.dir); err != nil {
		return fmt.Errorf("cannot open the spool: %w", err)
	}
	moved := make(map[uint64]bool)
	for _, id := range s.queues.moved {
		moved[id] = true
	}
	for _, g := range slices.Clone(s.segments) {
		if err := s.openSegment(g, moved); err != nil {
			return fmt.Errorf("cannot open the spool: %w", err)
		}
		s.total += g.size
		s.lastID = max(s.lastID, g.footer.Last)
		s.leave(g)
	}
	return nil
}

// openSegment counts what is in a segment, but what was moved to a queue: that is
// done, if the process ended before it was noted.
func (s *Spool) openSegment(g *segment, moved map[uint64]bool) error {
	if err := g.readMarks(); err != nil {
		return err
	}
	may := !g.sealed || g.done != nil
	for id := range moved {
		may = may || g.name.first <= id && id <= g.footer.Last
	}
	if !may {
		for _, l := range g.footer.Lines {
			n := s.line(l.Line)
			g.add(n, l.Records, l.Bytes)
			n.grow(l.Bytes)
		}
		return nil
	}
	var again []hand
	if err := s.count(g, func(f frame, h hand) {
		if moved[f.id] {
			again = append(again, h)
		}
	}); err != nil {
		return err
	}
	sealed := g.sealed
	g.sealed = false // so that it does not leave yet
	for _, h := range again {
		s.endLogged(0, h)
	}
	if g.sealed = true; !sealed {
		g.footer.Lines = g.list()
		s.queues.failing.note(g.seal(), 0, s.now()) // if it fails, it is read again another time
	}
	return nil
}

// count reads through a segment and counts what is not done of it, for which it
// calls fn. Its caller has s.mu, or is alone.
func (s *Spool) count(g *segment, fn func(f frame, h hand)) error {
	file, err := os.Open(g.path)
	if err != nil {
		return err
	}
	defer file.Close()
	counts, end := make(map[*line]*lineCount), int64(0)
	sc := scanner{from: file, salt: g.name.salt, size: g.size}
	found := make(bitmap, words(slot(g.size)+1))
	tally := func(n *line, all, records int, bytes int64) {
		c := counts[n]
		if c == nil {
			c = new(lineCount)
			counts[n] = c
		}
		c.all += all
		c.records += records
		c.size += int64(all) * bytes
		c.bytes += int64(records) * bytes
	}
	for f, at, ok := sc.next(); ok && f.kind == logFrame; f, at, ok = sc.next() {
		end = sc.at
		l, ok := parseLine(string(f.name))
		if !ok {
			continue
		}
		if found.add(slot(at)); !g.sealed {
			g.footer.Last = max(g.footer.Last, f.id)
			g.footer.expires(f.expires)
			if g.footer.Put == 0 {
				g.footer.Put = f.put
			}
		}
		h := hand{line: s.line(l), seg: g, off: at, size: int64(f.size)}
		if g.isDone(at) {
			tally(h.line, 1, 0, h.size)
			continue
		}
		tally(h.line, 1, 1, h.size)
		fn(f, h)
	}
	for _, h := range s.held { // what is damaged now, and in somebody's hands, still ends there
		if h.seg == g && !found.has(slot(h.off)) {
			tally(h.line, 1, 1, h.size)
		}
	}
	if !g.sealed && g != s.current {
		s.quarantine(io.NewSectionReader(file, end, g.size-end)) // what was being written, most likely
		g.size = end
	}
	for n, c := range g.counts {
		tally(n, 0, 0, 0)
		n.grow(counts[n].bytes - c.bytes)
		g.add(n, counts[n].records-c.records, counts[n].bytes-c.bytes)
	}
	for n, c := range counts {
		if g.counts[n] == nil {
			g.add(n, c.records, c.bytes)
			n.grow(c.bytes)
		}
		g.counts[n].all, g.counts[n].size = c.all, c.size
	}
	for _, hole := range sc.gaps {
		s.broken++
		s.quarantine(io.NewSectionReader(file, hole.at, hole.size))
	}
	g.holes = sc.gaps
	return nil
}

// foundHoles takes what is none of the frames of a segment. If that is new the
// segment is counted again.
func (s *Spool) foundHoles(g *segment, holes []gap) error {
	if len(holes) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.gone || !slices.ContainsFunc(holes, func(h gap) bool { return !slices.Contains(g.holes, h) }) {
		return nil
	}
	return s.count(g, func(frame, hand) {})
}

const (
	brokenName  = "broken"
	brokenMax   = 4 << 20 // bytes of that file
	waitingName = "waiting"
	tellWait    = time.Second // from a change until it is written
)

// quarantine keeps bytes for the operator, as far as there is room. What goes wrong
// with that harms nothing.
func (s *Spool) quarantine(from io.Reader) {
	f, err := os.OpenFile(s.path(brokenName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		io.CopyN(f, from, max(0, brokenMax-info.Size()))
	}
}

// tell writes what waits, for those who look while the spool is open. What goes wrong
// with that harms nothing.
func (s *Spool) tell() {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	b, err := json.Marshal(s.Stats())
	if err == nil {
		err = os.WriteFile(s.path(waitingName+newEnd), b, 0o600)
	}
	if err == nil {
		os.Rename(s.path(waitingName+newEnd), s.path(waitingName))
	}
}

// refuseOldSpool makes sure that nothing waits in the spool of an earlier version.
func refuseOldSpool(dir string) error {
	path := filepath.Join(dir, "spool.db")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	waits := false
	f := &file{path: path}
	err := f.guard(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Millisecond})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bbolt.Tx) error {
			if root := tx.Bucket([]byte("spool")); root != nil {
				first, _ := root.Cursor().First()
				waits = first != nil
			}
			return nil
		})
	})
	switch {
	case waits:
		return fmt.Errorf("%s has notifications that an earlier version has kept: "+
			"run that version until they are delivered, or move the file away to give them up", path)
	case isDamage(err):
		return fmt.Errorf("%s is of an earlier version and damaged: "+
			"have that version import and deliver what is in it, or move the file away to give it up", path)
	}
	return nil
}
