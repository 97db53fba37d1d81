// Package seglog is a log of records in files that a crash leaves readable.
//
// Records are appended to the last of its segments, in frames with checksums, by one
// write and one fsync for all that wait. IDs grow along the log, so an ID says where its
// record is, and what is done is a bitmap beside the segment. A segment goes when all in
// it is done, and is written anew, with its neighbours, when most of it is. What has
// become unreadable is passed over, and kept for the operator. What there is of a name is
// counted, and not known in memory otherwise: readers go through the log.
package seglog

import (
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts what is in the log of a name, and not done. Its owner takes from Waiting
// what is checked out. Lost are those that became unreadable while they waited.
type Tally struct {
	Name                          string
	Records, Bytes, Waiting, Lost atomic.Int64
}

// Out is a record that is checked out.
type Out struct {
	ID    uint64
	Size  int64 // of its frame
	Tally *Tally
}

// Config is what a log is made of. Its functions are called with no lock of the log's held
// that End, Has or Announce would take: a lock of the owner's stands before those.
type Config struct {
	Dir     string
	Salt    uint32
	Now     func() time.Time
	Segment int64    // bytes from which a segment is full
	Room    int64    // bytes of the disk that are kept for the time when it is full
	Moved   []uint64 // in order: IDs that are done, for they stand elsewhere

	Tally      func(name string) *Tally     // of a name; nil: it is none
	CheckedOut func(fn func(iter.Seq[Out])) // calls fn with all that is, and stays so meanwhile
	Expire     func(f Frame) bool           // ends a record, unless it is checked out, and reports whether
	Note       func(err error, bytes int64) // takes what came of writing so many
}

// Log is safe for concurrent use, but for what is to be called by one at a time.
type Log struct {
	Config
	buffers sync.Pool // of *[]byte
	broken  atomic.Uint64

	replaced []*segment // that could not be removed yet; of those who are called one at a time

	writing sync.Mutex // by who writes; before mu
	file    *os.File   // the current segment
	buf     []byte
	room    bool // there is the file of that name

	mu       sync.Mutex
	segments []*segment // in the order of IDs
	current  *segment   // the last of them, or nil
	pending  []*Batch
	size     int64 // bytes on disk, and of Batches that were announced
}

func (l *Log) path(name string) string { return filepath.Join(l.Dir, name) }

// Size is how many bytes it has on disk, and has been announced.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Segments is how many there are.
func (l *Log) Segments() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.segments)
}

// LastID is the highest that any record has had of which there is a trace.
func (l *Log) LastID() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].Last
}

// Since is the second since 1970, as the clock was, at which the first segment was begun that
// has something of a name; 0: there is nothing.
func (l *Log) Since(t *Tally) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.segments {
		if g.counts[t].Records > 0 {
			return g.Put
		}
	}
	return 0
}

// Has reports whether a record is in the log, and not done.
func (l *Log) Has(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.segment(id)
	return g != nil && !g.isDone(id)
}

// End ends a record that is checked out.
func (l *Log) End(o Out) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.segment(o.ID)
	o.Tally.Waiting.Add(1) // which add takes back
	g.add(o.Tally, -1, -o.Size)
	g.setDone(o.ID)
}

// Return has a record wait that was checked out. One that has become unreadable meanwhile
// has left, since no reader would come to it.
func (l *Log) Return(o Out) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.Tally.Waiting.Add(1)
	if g := l.segment(o.ID); g.absent.has(g.bit(o.ID)) {
		g.add(o.Tally, -1, -o.Size)
		g.left.add(g.bit(o.ID))
		o.Tally.Lost.Add(1)
		l.broken.Add(1)
	}
}

const (
	brokenName = "broken"
	brokenMax  = 4 << 20 // bytes of that file
)

// Quarantine counts what is broken, and keeps it for the operator, as far as there is
// room. What goes wrong with that harms nothing.
func (l *Log) Quarantine(from io.Reader) {
	l.broken.Add(1)
	l.keep(from)
}

// keep is Quarantine for what is not counted.
func (l *Log) keep(from io.Reader) {
	f, err := os.OpenFile(l.path(brokenName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		io.CopyN(f, from, max(0, brokenMax-info.Size()))
	}
}

// Broken is how many records have been found to be, or pieces of which it is not known, and the file that has the first bytes
// of them, if there is one.
func (l *Log) Broken() (pieces uint64, kept string) {
	if pieces = l.broken.Load(); pieces > 0 && exists(l.path(brokenName)) {
		kept = l.path(brokenName)
	}
	return pieces, kept
}
