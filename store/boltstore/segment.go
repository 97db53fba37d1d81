package boltstore

import (
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

// segment is a file of the log. Frames are appended to the last of them, the current.
// What is done stands beside it. All but name and path is guarded by the spool's mu.
type segment struct {
	name   segmentName
	path   string
	counts map[*line]lineCount
	live   lineCount // of all lines
	done   bitmap
	holes  []gap      // that are known
	points []waypoint // where a reader may begin
	summary

	from, to   int  // the words of done that are to be written
	unsynced   bool // something was written since the last sync
	summarized bool
	gone       bool // another has taken its place, or its file is removed
}

// summary is what queues.db has of a segment that is not appended to any more, so that
// it need not be read when the spool is opened. JSON.
type summary struct {
	Size    int64         // bytes of frames
	Last    uint64        // no ID is higher
	Soonest int64         `json:",omitempty"` // when the first record may expire; 0: none does
	Put     int64         // when the first was put, in seconds since 1970; 0: not known
	Lines   []lineSummary // nil: something was done by then
}

type lineSummary struct {
	store.Line
	lineCount
}

// lineCount is what there is of a line, and not done.
type lineCount struct {
	Records int
	Bytes   int64
}

// waypoint says that no frame before off has the ID id or a higher one.
type waypoint struct {
	id  uint64
	off int64
}

const waypointBytes = 256 << 10 // from one to the next

// maxSegmentIDs is how many IDs a segment may span: so many bits it may need to say
// what is done.
const maxSegmentIDs = 1 << 22

// add counts records of n that come or, below 0, go.
func (g *segment) add(n *line, records int, bytes int64) {
	c := g.counts[n]
	if c.Records, c.Bytes = c.Records+records, c.Bytes+bytes; c == (lineCount{}) {
		delete(g.counts, n)
	} else {
		g.counts[n] = c
	}
	g.live.Records += records
	g.live.Bytes += bytes
	n.log += records
	n.bytes += bytes
	n.waiting.Add(int64(records))
}

// found notes where a frame stands.
func (g *segment) found(id uint64, off int64) {
	if last := len(g.points) - 1; last < 0 && off >= waypointBytes || last >= 0 && off >= g.points[last].off+waypointBytes {
		g.points = append(g.points, waypoint{id, off})
	}
}

// before is where a reader begins that looks for id and what is behind it.
func (g *segment) before(id uint64) int64 {
	at, found := slices.BinarySearchFunc(g.points, id, func(p waypoint, id uint64) int { return int(int64(p.id - id)) })
	switch {
	case found:
		return g.points[at].off
	case at > 0:
		return g.points[at-1].off
	}
	return 0
}

// expires notes when a record does.
func (g *summary) expires(at int64) {
	if at != 0 && (g.Soonest == 0 || at < g.Soonest) {
		g.Soonest = at
	}
}

// bit is the place of id in done: words are the same for all segments.
func (g *segment) bit(id uint64) int { return int(id - g.name.first&^63) }

func (g *segment) isDone(id uint64) bool { return g.done.has(g.bit(id)) }

func (g *segment) setDone(id uint64) {
	g.done.add(g.bit(id))
	g.unwritten(g.bit(id)/64, g.bit(id)/64+1)
}

// unwritten has words of done be written.
func (g *segment) unwritten(from, to int) {
	if g.from < g.to {
		from, to = min(g.from, from), max(g.to, to)
	}
	g.from, g.to = from, to
}

// bitmap is a set of small numbers.
type bitmap []uint64

func (m bitmap) has(i int) bool { return i >= 0 && i/64 < len(m) && m[i/64]&(1<<(i%64)) != 0 }

func (m *bitmap) add(i int) {
	if need := i/64 + 1; need > len(*m) {
		*m = append(*m, make(bitmap, need-len(*m))...)
	}
	(*m)[i/64] |= 1 << (i % 64)
}

// without is m without what is in other, nil if nothing is left.
func (m bitmap) without(other bitmap) bitmap {
	left := false
	for i := range m {
		if i < len(other) {
			m[i] &^= other[i]
		}
		left = left || m[i] != 0
	}
	if !left {
		return nil
	}
	return m
}

// segmentName is what a file's name says: no record in it has a lower ID than first.
type segmentName struct {
	first      uint64
	generation int // higher than that of those whose place it has taken
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
		counts: make(map[*line]lineCount), summary: summary{Last: name.first},
	}
}

func marksPath(path string) string { return strings.TrimSuffix(path, segmentEnd) + marksEnd }

// remove takes the files away: first the log, since marks without it do no harm.
func (g *segment) remove() error {
	for _, path := range []string{g.path, marksPath(g.path)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Marks say what is done: u64 word of the bitmap · u32 CRC-32C of it · u32 0, in the
// order of words. A disk writes all of one or nothing.
const markSize = 16

func appendMark(b []byte, word uint64) []byte {
	b = appendU64(b, word)
	return append(appendU32(b, crc32.Checksum(b[len(b)-8:], crcTable)), 0, 0, 0, 0)
}

// readMarks gives what is done of the segment at path.
func readMarks(path string) (done bitmap, err error) {
	b, err := os.ReadFile(marksPath(path))
	// What the disk does not give is done again.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) {
		return nil, err
	}
	for ; len(b) >= markSize; b = b[markSize:] {
		if word := u64(b); u32(b[8:]) == crc32.Checksum(b[:8], crcTable) {
			done = append(done, word)
		} else {
			done = append(done, 0)
		}
	}
	return done, nil
}

// writeMarks writes words of done to their place, which is that of the word from.
func writeMarks(path string, words bitmap, from int) error {
	f, err := os.OpenFile(marksPath(path), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, 0, len(words)*markSize)
	for _, word := range words {
		b = appendMark(b, word)
	}
	_, err = f.WriteAt(b, int64(from)*markSize)
	return errors.Join(err, f.Close())
}

// syncMarks makes durable what was written.
func syncMarks(path string) error {
	f, err := os.Open(marksPath(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
