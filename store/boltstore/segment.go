package boltstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"apnsbridge/store"
)

// segment is a file of the log. Frames are appended to one of them, the current;
// the others are sealed: a footer says what they had then. What is done stands
// beside it.
type segment struct {
	name   segmentName
	path   string
	size   int64 // bytes of frames
	footer footer
	counts map[*line]*lineCount // of what is not done
	left   int                  // records that are not done
	live   int64                // their bytes
	done   bitmap               // by slot; nil: nothing is
	sealed bool
	gone   bool  // nothing of it counts any more
	holes  []gap // that are known

	marks  []byte // of what is done, not written yet
	marked int64  // bytes of marks that were written
	dirty  bool   // and not synced
}

// lineCount is what a segment has of a line.
type lineCount struct {
	records, all int // that are not done; and that were written
	bytes, size  int64
}

// footer is the body of a frame at the end of a sealed segment, as JSON. Behind the
// frame is where it begins: u32 bytes · "seal".
type footer struct {
	Last     uint64 // no ID is higher
	Soonest  int64  `json:",omitempty"` // when the first record may expire; 0: none does
	Put      uint32 // when the first was put, in seconds since 1970
	Lines    []footerLine
	Replaces []string `json:",omitempty"` // the segments whose place it has taken
}

type footerLine struct {
	store.Line
	Records int
	Bytes   int64
}

const sealEnd = "seal"

// add counts records of n that come or, below 0, go.
func (g *segment) add(n *line, records int, bytes int64) {
	c := g.counts[n]
	if c == nil {
		c = new(lineCount)
		g.counts[n] = c
	}
	c.records += records
	c.bytes += bytes
	c.all += max(0, records)
	c.size += max(0, bytes)
	g.left += records
	g.live += bytes
	n.log += records
	n.waiting.Add(int64(records))
}

// list is what the footer says of lines.
func (g *segment) list() (list []footerLine) {
	for n, c := range g.counts {
		list = append(list, footerLine{n.Line, c.all, c.size})
	}
	return list
}

// slot is a number for a frame, by its offset: no two frames have the same.
func slot(off int64) int { return int(off / frameMin) }

func (g *segment) isDone(off int64) bool {
	at := slot(off)
	return at/64 < len(g.done) && g.done.has(at)
}

func (g *segment) setDone(off int64) {
	at := slot(off)
	if need := at/64 + 1 - len(g.done); need > 0 {
		g.done = append(g.done, make(bitmap, max(need, words(slot(g.size))-len(g.done)))...)
	}
	g.done.add(at)
}

// segmentName is what a file's name says: no record in it has a lower ID than first.
type segmentName struct {
	first      uint64
	generation int // how often what was there has been written anew
	salt       uint32
}

const (
	segmentEnd = ".log"
	marksEnd   = ".done"
	newEnd     = ".new" // of a file that is not whole yet
)

func (n segmentName) String() string {
	return fmt.Sprintf("%016x-%d-%08x%s", n.first, n.generation, n.salt, segmentEnd)
}

func parseSegmentName(s string) (n segmentName, ok bool) {
	_, err := fmt.Sscanf(s, "%x-%d-%x"+segmentEnd, &n.first, &n.generation, &n.salt)
	return n, err == nil && n.String() == s
}

func newSegment(dir string, name segmentName) *segment {
	return &segment{
		name: name, path: filepath.Join(dir, name.String()),
		counts: make(map[*line]*lineCount), footer: footer{Last: name.first},
	}
}

func (g *segment) marksPath() string { return strings.TrimSuffix(g.path, segmentEnd) + marksEnd }

// remove takes the files away: first the log, since marks without it do no harm.
func (g *segment) remove() error {
	for _, path := range []string{g.path, g.marksPath()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// A mark says that a record is done: u32 offset of its frame · u32 CRC-32C of that.
const markSize = 8

func appendMark(b []byte, off int64) []byte {
	b = appendU32(b, uint32(off))
	return appendU32(b, crc32.Checksum(b[len(b)-4:], crcTable))
}

// readMarks has be done what is.
func (g *segment) readMarks() error {
	b, err := os.ReadFile(g.marksPath())
	// What the disk does not give is done again.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) {
		return err
	}
	g.marked = int64(len(b) - len(b)%markSize)
	for ; len(b) >= markSize; b = b[markSize:] {
		if off := int64(u32(b)); u32(b[4:]) == crc32.Checksum(b[:4], crcTable) && off < g.size {
			g.setDone(off)
		}
	}
	return nil
}

// writeMarks writes marks behind the others. What fails is written again, to the
// same place.
func (g *segment) writeMarks(marks []byte) error {
	f, err := os.OpenFile(g.marksPath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(marks, g.marked)
	return errors.Join(err, f.Close())
}

// syncMarks makes the marks durable.
func (g *segment) syncMarks() error {
	f, err := os.Open(g.marksPath())
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sealing is a footer as it is to be written.
func (g *segment) sealing() []byte {
	body, err := json.Marshal(g.footer)
	if err != nil {
		panic(err) // there is nothing in it that JSON does not have
	}
	b := appendFrame(nil, g.name.salt, footerFrame, "", 0, &store.SpoolRecord{Body: body}, nil)
	return append(appendU32(b, uint32(len(b))), sealEnd...)
}

// seal writes the footer behind the frames, and cuts what stands there.
func (g *segment) seal() error {
	f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(g.size); err == nil {
		_, err = f.WriteAt(g.sealing(), g.size)
	}
	return errors.Join(err, f.Close())
}

// open reads the footer, if there is one, else how large the file is.
func (g *segment) open() error {
	f, err := os.Open(g.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	g.size = info.Size()
	end := make([]byte, 4+len(sealEnd))
	if _, err := f.ReadAt(end, g.size-int64(len(end))); err != nil {
		return nil
	}
	at := g.size - int64(len(end)) - int64(u32(end))
	if string(end[4:]) != sealEnd || at < 0 || u32(end) > footerMax {
		return nil
	}
	b := make([]byte, u32(end))
	if _, err := f.ReadAt(b, at); err != nil {
		return nil
	}
	if frame, ok := readFrame(b, g.name.salt); ok && frame.kind == footerFrame {
		if body, ok := frame.body(b); ok && json.Unmarshal(body, &g.footer) == nil {
			g.size, g.sealed = at, true
		}
	}
	return nil
}

// openSegments opens what is in a directory, in the order of IDs. Files that are not
// whole, or were replaced, are taken away.
func openSegments(dir string) (segments []*segment, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var extra []string
	replaced, marks := make(map[string]bool), make(map[string]bool)
	for _, e := range entries { // in the order of names
		name, ok := parseSegmentName(e.Name())
		switch {
		case strings.HasSuffix(e.Name(), newEnd):
			extra = append(extra, e.Name())
		case strings.HasSuffix(e.Name(), marksEnd):
			marks[e.Name()] = true
		case ok:
			g := newSegment(dir, name)
			if err := g.open(); err != nil {
				return nil, err
			}
			segments = append(segments, g)
			for _, old := range g.footer.Replaces {
				replaced[old] = true
			}
		}
	}
	segments = slices.DeleteFunc(segments, func(g *segment) bool {
		if replaced[g.name.String()] {
			err = errors.Join(err, g.remove())
		}
		delete(marks, filepath.Base(g.marksPath()))
		return replaced[g.name.String()]
	})
	for name := range marks {
		extra = append(extra, name)
	}
	for _, name := range extra {
		if gone := os.Remove(filepath.Join(dir, name)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return segments, err
}
