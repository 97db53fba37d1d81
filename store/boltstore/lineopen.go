package boltstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

func (s *LineSpool) path(name string) string { return filepath.Join(s.dir, name) }

// openLog counts what is in the log: as footers and marks say, and where these do
// not, by reading the segment. Nobody else is at work yet.
func (s *LineSpool) openLog() error {
	names, err := segmentNames(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		g := &segment{name: name, path: s.path(name.String()), last: max(name.first, name.last)}
		if err := s.openSegment(g); err != nil {
			return fmt.Errorf("cannot open the spool: %w", err)
		}
		s.lastID = max(s.lastID, g.last)
	}
	if err := s.endMoved(); err != nil {
		return fmt.Errorf("cannot open the spool: %w", err)
	}
	for _, g := range slices.Clone(s.segments) {
		s.leave(g)
	}
	s.aside, err = damagedFiles(s.dir)
	return err
}

// openSegment counts what is in a segment.
func (s *LineSpool) openSegment(g *segment) error {
	sections, err := g.open()
	if err != nil {
		return s.unreadableAtOpen(g, err)
	}
	marks, err := g.readMarks()
	if err != nil {
		return s.unreadableAtOpen(g, err)
	}
	g.marked = int64(len(marks) - len(marks)%markSize)
	if !g.sealed {
		return s.recover(g, marks)
	}
	for _, sealed := range sections {
		l, ok := parseLine(sealed.name)
		if !ok {
			return fmt.Errorf("%s: a line's name has %d bytes", g.path, len(sealed.name))
		}
		p := &section{seg: g, line: s.line(l), number: uint16(len(g.sections)), put: sealed.put}
		g.sections = append(g.sections, p)
		p.line.sections = append(p.line.sections, p)
		p.add(sealed.records, 0, sealed.bytes)
	}
	eachMark(marks, func(_ uint64, size uint32, section uint16) {
		if int(section) < len(g.sections) && g.sections[section].left > 0 {
			g.sections[section].add(-1, 0, -int64(size))
		}
	})
	s.segments = append(s.segments, g)
	s.total += g.size
	return nil
}

// open reads the footer.
func (g *segment) open() (sections []sealedSection, err error) {
	f, err := os.Open(g.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sections, _, err = g.readFooter(f, info.Size())
	return sections, err
}

// recover reads a segment that was not sealed, because the process ended before,
// and seals it. What was written last may be there in part: that is cut off.
func (s *LineSpool) recover(g *segment, marks []byte) error {
	x, holes, err := s.readIndex(g)
	if err != nil {
		return s.unreadableAtOpen(g, err)
	}
	eachMark(marks, func(id uint64, _ uint32, _ uint16) { x.end(id) })
	s.segments = append(s.segments, g)
	s.total += g.size
	s.install(g, x)
	s.foundHoles(g, holes)
	if err := g.writeFooter(g.footer()); err != nil {
		s.failing.note(err, 0, s.now())
	}
	g.sealed = true
	return nil
}

// unreadableAtOpen sets a segment aside that the disk does not give.
func (s *LineSpool) unreadableAtOpen(g *segment, err error) error {
	s.segments = append(s.segments, g)
	if kept := s.unreadable(g, err); !g.gone {
		return kept
	}
	return nil
}

// endMoved ends in the log what is in a queue, if the process ended between the two.
func (s *LineSpool) endMoved() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.queues.moved {
		for _, g := range slices.Clone(s.segments) {
			if id < g.name.first || id > g.last {
				continue
			}
			if err := s.load(g); err != nil {
				return err
			}
			if g.index == nil {
				continue
			}
			if i, ok := g.index.place(id); ok && !g.index.done.has(i) {
				p, size := g.sections[g.index.sections[i]], g.index.sizes[i]
				p.add(-1, 0, -int64(size))
				s.mark(p, id, size)
			}
		}
	}
	return nil
}

// refuseOldSpool makes sure that nothing waits in the spool of an earlier version.
func refuseOldSpool(dir string) error {
	path := filepath.Join(dir, spoolFileName)
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
		return fmt.Errorf("%s has notifications that an earlier version has kept: run that version until they are delivered, or move the file away to give them up", path)
	case isDamage(err):
		return fmt.Errorf("%s is of an earlier version and damaged: import it with that version and run it until all is delivered, or move the file away to give up what is in it", path)
	}
	return nil
}
