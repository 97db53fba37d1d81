package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/store"
)

// Spool implements store.Spool, in the directory spool:
//
//	*.log      segments of one log for all lines: see frame and segment
//	*.done     what is done of a segment
//	queues.db  the devices' queues, and what segments contain: see queues
//	room       bytes that are given up when the disk is full: see flush
//	broken     the first bytes of what could not be read, for the operator
//	waiting    what waits, as of a second ago, for those who look from outside
//
// A record is appended to the current segment; one write and one fsync do that for
// all Puts that wait. A segment goes when all in it is done, and is written anew, with
// its neighbours, when less than half of it is not. IDs grow along the log, so an ID
// says where its record is and a bitmap what is done. What waits in the log is not
// known in memory, but for its number: lines read through it.
type Spool struct {
	dir     string
	now     func() time.Time
	bounds  bounds
	queues  *queues
	salt    uint32
	begins  bool
	aside   *SetAside // nil, or what was damaged when it was opened
	seed    maphash.Seed
	buffers sync.Pool // of *[]byte

	failing failing // the log, or what makes a full disk emptier

	closing sync.Once
	quit    chan struct{}
	ended   chan struct{}
	wake    chan struct{}

	cleaning sync.Mutex // by who flushes, or writes segments anew; before writing
	writing  sync.Mutex // by who writes the log; before mu
	file     *os.File   // the current segment
	buf      []byte
	room     bool // there is the file of that name

	mu       sync.Mutex
	closed   bool
	segments []*segment // in the order of IDs
	current  *segment   // the last of them, or nil
	pending  []*put     // for the log
	held     map[uint64]hand
	done     []queueEnd // to be deleted from queues
	lastID   uint64
	total    int64 // bytes on disk, and of Puts at work
	expired  uint64
	broken   uint64

	naming sync.RWMutex         // behind mu
	lines  map[store.Line]*line // written under mu too
}

// line is what is known of a line.
type line struct {
	store.Line
	name    string       // in frames
	puts    int          // at work
	log     int          // records in the log
	waiting atomic.Int64 // of these, not checked out
	queued  int          // records in queues
	bytes   int64        // of both
	since   int64        // none of what there is was put before, in seconds since 1970; 0: there is nothing

	reading sync.Mutex // by who takes from the log; before mu
	cursor  uint64     // records of the log with a lower ID are done or held
}

// hand is a record that a caller holds.
type hand struct {
	line   *line
	size   int64  // bytes it takes
	device uint64 // in its queue; 0: in the log
	done   bool   // and in queues.db as yet
}

func lineName(l store.Line) string { return l.App + "\x00" + l.Environment + "\x00" + l.Topic }

func parseLine(name string) (l store.Line, ok bool) {
	sections := strings.Split(name, "\x00")
	if len(sections) != 3 {
		return l, false
	}
	return store.Line{App: sections[0], Environment: sections[1], Topic: sections[2]}, true
}

// known is the line l, or nil.
func (s *Spool) known(l store.Line) *line {
	s.naming.RLock()
	defer s.naming.RUnlock()
	return s.lines[l]
}

// line is the line l, new if there was none.
func (s *Spool) line(l store.Line) *line {
	n := s.known(l)
	if n == nil {
		n = &line{Line: l, name: lineName(l)}
		s.naming.Lock()
		defer s.naming.Unlock()
		s.lines[l] = n
	}
	return n
}

// begin is what a reading method begins with: the line, or nil if there is nothing of
// it.
func (s *Spool) begin(ctx context.Context, l store.Line) (*line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	return s.known(l), ctx.Err()
}

// forgetLines takes lines away of which there is nothing.
func (s *Spool) forgetLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.naming.Lock()
	defer s.naming.Unlock()
	for key, n := range s.lines {
		if n.log+n.queued+n.puts == 0 {
			delete(s.lines, key)
		}
	}
}

// seen notes when a record of n was put that is there.
func (n *line) seen(put int64) {
	if n.since == 0 || put < n.since {
		n.since = put
	}
}

// device is the hash of a device of n.
func (s *Spool) device(n *line, token []byte) uint64 {
	return maphash.Bytes(s.seed, token) ^ bits.RotateLeft64(maphash.String(s.seed, n.name), 1) | 1
}

func (s *Spool) path(name string) string { return filepath.Join(s.dir, name) }

// Begins reports whether there was no spool when it was opened, or a damaged one.
func (s *Spool) Begins() bool { return s.begins }

// Failing says why the spool cannot be written, in words for the operator; nil if
// it can.
func (s *Spool) Failing() error { return cmp.Or(s.failing.words(), s.queues.failing.words()) }

// OpenSpool opens the spool of the store in dir, and makes one where there is
// none. A file that is damaged is set aside under another name. An error is a
// sentence for the operator. The caller closes it.
func OpenSpool(dir string, o Options) (*Spool, error) { return openSpool(dir, o, false) }

func openSpool(dir string, o Options, leaveDamaged bool) (*Spool, error) {
	o.setDefaults()
	if old := filepath.Join(dir, "spool.db"); fileExists(old) {
		return nil, fmt.Errorf("%s is of an earlier version: run that version until what waits in it is delivered, "+
			"and move the file away", old)
	}
	dir = filepath.Join(dir, spoolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the spool: %w", err)
	}
	s := &Spool{
		dir: dir, now: o.Now, bounds: newBounds(o), seed: maphash.MakeSeed(),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
		quit:    make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1),
		held: make(map[uint64]hand), lines: make(map[store.Line]*line),
	}
	if err := s.openQueues(leaveDamaged); err != nil {
		return nil, err
	}
	if err := s.openLog(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the spool: %w", err), s.queues.close())
	}
	go s.tend()
	return s, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Close makes durable what is done and closes the spool. What comes later gets
// store.ErrClosed.
func (s *Spool) Close() error {
	err := store.ErrClosed
	s.closing.Do(func() {
		close(s.quit)
		<-s.ended
		s.writing.Lock()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.roll()
		s.writing.Unlock()
		err = errors.Join(s.flush(), s.queues.close())
	})
	return err
}

// Waiting implements store.Spool.
func (s *Spool) Waiting(l store.Line) int {
	if n := s.known(l); n != nil {
		return int(n.waiting.Load())
	}
	return 0
}

// Queued implements store.Spool.
func (s *Spool) Queued(l store.Line, token []byte) bool {
	n := s.known(l)
	return n != nil && s.queues.devices.bytes(s.device(n, token)) > 0
}

// Lines implements store.Spool. It is asked with each Put of a fleet's node, and looks at
// memory only.
func (s *Spool) Lines() (lines []store.Line) {
	s.mu.Lock()
	for _, n := range s.lines {
		if n.log+n.queued > 0 {
			lines = append(lines, n.Line)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(lines, compareLines)
	return lines
}

func compareLines(a, b store.Line) int { return strings.Compare(lineName(a), lineName(b)) }

// Stats implements store.Spool.
func (s *Spool) Stats() store.SpoolStats {
	aside, _ := damagedFiles(s.dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := store.SpoolStats{
		Bytes: s.total, Bound: s.bounds.total, Segments: len(s.segments),
		Expired: s.expired, Broken: s.broken, SetAside: aside,
	}
	if path := s.path(brokenName); s.broken > 0 && fileExists(path) {
		stats.Kept = path
	}
	for _, n := range s.lines {
		if n.log+n.queued == 0 {
			continue
		}
		w := store.LineWaiting{Line: n.Line, Log: n.log, Queued: n.queued, Bytes: n.bytes, Since: n.since}
		at := slices.IndexFunc(s.segments, func(g *segment) bool { return g.counts[n].Records > 0 })
		if n.queued == 0 && at >= 0 {
			w.Since = max(w.Since, s.segments[at].Put)
		}
		stats.Lines = append(stats.Lines, w)
	}
	slices.SortFunc(stats.Lines, func(a, b store.LineWaiting) int { return compareLines(a.Line, b.Line) })
	return stats
}
