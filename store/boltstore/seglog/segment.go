package seglog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// segment is a file of the log. Frames are appended to the last of them, the current.
// What is done stands beside it. All but name and path is guarded by the log's mu.
type segment struct {
	name   Name
	path   string
	counts map[*Tally]count
	live   count // of all names
	done   bitmap
	left   bitmap     // neither counted nor given, though a reader may have it, of a file whose place this one took
	absent bitmap     // not here any more, and counted: it was checked out, until it ends or is returned
	holes  []gap      // that are known
	points []waypoint // where a reader may begin
	summary

	ended      int       // records done since the latest Flush
	drains     bool      // so many were before it that all of them soon may be
	restsUntil time.Time // it is not written anew before: that has failed

	from, to   int  // the words of done that are to be written
	unsynced   bool // something was written since the last sync
	summarized bool
	lost       bool // its file cannot be read as a whole, and is left for the next process, which may
	gone       bool // another has taken its place, or its file is removed
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

// add counts records of a name that come or, below 0, go.
func (g *segment) add(t *Tally, records int, bytes int64) {
	c := g.counts[t]
	if c.Records, c.Bytes = c.Records+records, c.Bytes+bytes; c == (count{}) {
		delete(g.counts, t)
	} else {
		g.counts[t] = c
	}
	g.live.Records += records
	g.ended += max(0, -records)
	g.live.Bytes += bytes
	t.Records.Add(int64(records))
	t.Bytes.Add(bytes)
	t.Waiting.Add(int64(records))
}

// dead is how many bytes of it are of no use.
func (g *segment) dead() int64 { return g.Size - g.live.Bytes }

// found notes where a frame stands.
func (g *segment) found(id uint64, off int64) {
	from := int64(0) // of the last
	if last := len(g.points) - 1; last >= 0 {
		from = g.points[last].off
	}
	if off >= from+waypointBytes {
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

func (g *segment) isDone(id uint64) bool { return g.done.has(g.bit(id)) || g.left.has(g.bit(id)) }

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

// Name is what a segment's file name says: no record in it has a lower ID than first.
type Name struct {
	first      uint64
	generation int // higher than that of those whose place it has taken
	salt       uint32
}

const (
	segmentEnd = ".log"
	marksEnd   = ".done"
	summaryEnd = ".sum"
	newEnd     = ".new" // of a file that is not whole yet
)

// String is the file name.
func (n Name) String() string {
	return fmt.Sprintf("%016x-%d-%08x%s", n.first, n.generation, n.salt, segmentEnd)
}

// ParseName takes a file name apart.
func ParseName(s string) (n Name, ok bool) {
	_, err := fmt.Sscanf(s, "%x-%d-%x"+segmentEnd, &n.first, &n.generation, &n.salt)
	return n, err == nil && n.String() == s
}

func newSegment(dir string, name Name) *segment {
	return &segment{
		name: name, path: filepath.Join(dir, name.String()),
		counts: make(map[*Tally]count), summary: summary{Last: name.first},
	}
}

// beside is the path of a segment's file of another kind.
func beside(path, end string) string { return strings.TrimSuffix(path, segmentEnd) + end }

// remove takes the files away: first the log, since others without it do no harm.
func (g *segment) remove() error {
	for _, path := range []string{g.path, beside(g.path, marksEnd), beside(g.path, summaryEnd)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
