package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/store"
)

// LineSpool implements store.LineSpool, in the directory spool:
//
//	*.log       segments of one log for all lines: see frame and segment
//	*.done      what is done of a segment, beside it
//	queues.db   the devices' queues: see queues
//	broken      the first bytes of what could not be read, for the operator
//	waiting     what waits, as of a second ago, for those who look from outside
//
// A record is appended to the current segment, and with one write and one fsync
// those of all Puts that wait. A sealed segment goes when all in it is done, and is
// written anew, with its neighbours, when less than half of it is not.
type LineSpool struct {
	dir     string
	now     func() time.Time
	bounds  bounds
	queues  *queues
	begins  bool
	salt    uint32
	seed    maphash.Seed
	buffers sync.Pool // of *[]byte

	writing sync.Mutex // by who writes the log; before mu
	file    *os.File   // the current segment
	buf     []byte
	failing failing

	cleaning sync.Mutex // by who writes segments anew; before writing
	told     time.Time  // when waiting was written
	wake     chan struct{}
	quit     chan struct{}
	ended    chan struct{}
	closing  sync.Once

	naming sync.RWMutex // lines; behind mu, for who writes
	lines  map[store.Line]*line

	mu       sync.Mutex
	closed   bool
	shares   map[string]*share  // by app
	segments []*segment         // in the order of IDs
	current  *segment           // the last of them, or nil
	sections map[*line]*section // of current
	loaded   []*segment         // that have an index and are sealed
	uses     uint64
	held     map[uint64]hand // records in somebody's hands, by ID
	pending  []*put          // for the log
	marked   []*segment      // that have marks to be written
	unsynced []*segment      // that have marks to be synced
	leaving  []*segment      // whose files go
	lastID   uint64
	total    int64 // bytes on disk, and of Puts at work
	freed    uint64
	barren   uint64 // freed, when makeRoom found nothing
	expired  uint64
	broken   uint64
	aside    []string
}

// line is what is known of a line.
type line struct {
	store.Line
	name     string // in frames
	share    *share
	hash     uint64
	waiting  atomic.Int64 // in the log and in nobody's hands
	puts     int          // at work
	log      int          // records in the log
	sections []*section
	cursor   uint64 // no record in the log with a lower ID waits
	queued   int    // records in queues
	bytes    int64
	since    uint32 // the first of those in queues was put then, in seconds since 1970
}

// hand is a record that somebody holds.
type hand struct {
	section *section // nil: it is in its queue
	line    *line
	size    int64  // bytes it takes
	device  uint64 // hash, of a queue's
	ended   bool   // done, but in queues.db as yet
}

var _ store.LineSpool = (*LineSpool)(nil)

func lineName(l store.Line) string { return l.App + "\x00" + l.Environment + "\x00" + l.Topic }

func parseLine(name string) (l store.Line, ok bool) {
	sections := strings.Split(name, "\x00")
	if len(sections) != 3 {
		return l, false
	}
	return store.Line{App: sections[0], Environment: sections[1], Topic: sections[2]}, true
}

// known is the line l, or nil.
func (s *LineSpool) known(l store.Line) *line {
	s.naming.RLock()
	defer s.naming.RUnlock()
	return s.lines[l]
}

// line is the line l, new if there was none.
func (s *LineSpool) line(l store.Line) *line {
	if n := s.known(l); n != nil {
		return n
	}
	n := &line{Line: l, name: lineName(l), share: s.shares[l.App]}
	n.hash = maphash.String(s.seed, n.name)
	if n.share == nil {
		n.share = new(share)
		s.shares[l.App] = n.share
	}
	n.share.lines++
	s.naming.Lock()
	defer s.naming.Unlock()
	s.lines[l] = n
	return n
}

// forgetLines takes lines away of which there is nothing.
func (s *LineSpool) forgetLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.naming.Lock()
	defer s.naming.Unlock()
	for key, n := range s.lines {
		if n.log+n.queued+n.puts > 0 || len(n.sections) > 0 {
			continue
		}
		delete(s.lines, key)
		if n.share.lines--; n.share.lines == 0 {
			delete(s.shares, key.App)
		}
	}
}

func (s *LineSpool) tokenHash(token []byte) uint32 { return uint32(maphash.Bytes(s.seed, token)) }

// device is the hash of a device of l.
func (s *LineSpool) device(l *line, token []byte) uint64 {
	return maphash.Bytes(s.seed, token) ^ (l.hash<<1 | l.hash>>63)
}

// Waiting implements store.LineSpool.
func (s *LineSpool) Waiting(l store.Line) int {
	if n := s.known(l); n != nil {
		return int(n.waiting.Load())
	}
	return 0
}

// Queued implements store.LineSpool.
func (s *LineSpool) Queued(l store.Line, token []byte) bool {
	if s.queues.devices.empty() {
		return false
	}
	n := s.known(l)
	return n != nil && s.queues.devices.bytes(s.device(n, token)) > 0
}

// Lines implements store.LineSpool.
func (s *LineSpool) Lines() (lines []store.Line) {
	for _, w := range s.Stats().Lines {
		lines = append(lines, w.Line)
	}
	return lines
}

// Stats implements store.LineSpool.
func (s *LineSpool) Stats() store.LineStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := store.LineStats{
		Bytes: s.total, Bound: s.bounds.total, Segments: len(s.segments),
		Expired: s.expired, Broken: s.broken, SetAside: slices.Clone(s.aside),
	}
	for _, n := range s.lines {
		if n.log+n.queued == 0 {
			continue
		}
		w := store.LineWaiting{Line: n.Line, Log: n.log, Queued: n.queued, Bytes: n.bytes, Since: int64(n.since)}
		for _, p := range n.sections {
			if p.left > 0 && (n.queued == 0 || p.put < n.since) {
				w.Since = int64(p.put)
				break
			}
		}
		stats.Lines = append(stats.Lines, w)
	}
	slices.SortFunc(stats.Lines, func(a, b store.LineWaiting) int { return strings.Compare(lineName(a.Line), lineName(b.Line)) })
	return stats
}

// Begins reports whether there was no spool when it was opened, or a damaged one.
func (s *LineSpool) Begins() bool { return s.begins }

// Failing says why the spool cannot be written, in words for the operator; nil if
// it can.
func (s *LineSpool) Failing() error {
	return cmp.Or(reason(s.failing.is()), s.queues.whyFailing())
}

// OpenLineSpool opens the spool of the store in dir, and makes one where there is
// none. A file that is damaged is set aside under another name. An error is a
// sentence for the operator. The caller closes it.
func OpenLineSpool(dir string, o Options) (*LineSpool, error) {
	o.setDefaults()
	if err := refuseOldSpool(dir); err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, spoolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the spool: %w", err)
	}
	s := &LineSpool{
		dir: dir, now: o.Now, bounds: newBounds(o), seed: maphash.MakeSeed(), buffers: sync.Pool{New: func() any { return new([]byte) }},
		lines: make(map[store.Line]*line), shares: make(map[string]*share), held: make(map[uint64]hand),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := s.openQueues(); err != nil {
		return nil, err
	}
	if err := s.openLog(); err != nil {
		return nil, errors.Join(err, s.queues.close())
	}
	go s.tend()
	return s, nil
}

// Close makes durable what is done and closes the spool. What comes later gets
// store.ErrClosed.
func (s *LineSpool) Close() error {
	err := store.ErrClosed
	s.closing.Do(func() {
		close(s.quit)
		<-s.ended
		err = s.flush(true)
		s.writing.Lock()
		defer s.writing.Unlock()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.roll()
		err = errors.Join(err, s.queues.close())
	})
	return err
}

// Flush implements store.LineSpool.
func (s *LineSpool) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.flush(false)
}

func (s *LineSpool) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return nil
}
