package boltstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"os"
	"path/filepath"
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
//	queues.db  the devices' queues: see queues
//	broken     the first bytes of what could not be read, for the operator
//	waiting    what waits, as of a second ago, for those who look from outside
//
// A record is appended to the current segment; one write and one fsync do that for
// all Puts that wait. A sealed segment goes when all in it is done, and is written
// anew, with its neighbours, when less than half of it is not. What waits in the log
// is not known in memory, but for its number: lines read through it.
type Spool struct {
	dir     string
	now     func() time.Time
	bounds  bounds
	queues  *queues
	salt    uint32
	begins  bool
	seed    maphash.Seed
	buffers sync.Pool // of *[]byte

	closing  sync.Once
	quit     chan struct{}
	ended    chan struct{}
	wake     chan struct{}
	cleaning sync.Mutex // by who flushes, or writes segments anew; before writing

	writing sync.Mutex // by who writes the log; before mu
	file    *os.File   // the current segment
	buf     []byte

	mu       sync.Mutex
	closed   bool
	segments []*segment      // in the order of IDs
	current  *segment        // the last of them, or nil
	held     map[uint64]hand // by ID
	pending  []*put          // for the log
	marked   []*segment      // that have marks to be written
	unsynced []*segment      // that have marks to be synced
	leaving  []*segment      // whose files go
	shares   map[string]*share
	lastID   uint64
	total    int64  // bytes on disk, and of Puts at work
	freed    uint64 // records that were done
	barren   uint64 // of these, when makeRoom found nothing more
	expired  uint64
	broken   uint64

	naming sync.RWMutex         // behind mu
	lines  map[store.Line]*line // written under mu too
}

// line is what is known of a line.
type line struct {
	store.Line
	name    string // in frames
	share   *share
	puts    int          // at work
	log     int          // records in the log
	waiting atomic.Int64 // of these, in nobody's hands
	queued  int          // records in queues
	bytes   int64        // of both
	since   uint32       // no record in a queue was put before, in seconds since 1970

	reading  sync.Mutex // by who reads the log; before mu
	cursor   uint64     // what has a lower ID has been read, and is held if it is not done
	returned []uint64   // of these, what is in nobody's hands, or was
	at       *segment   // nil, or where the record with the ID cursor stands, or would
	off      int64
}

// hand is a record of which more is known than that it is on disk: somebody holds
// it, or has returned it.
type hand struct {
	line   *line
	seg    *segment // nil: it is in its queue
	off    int64
	size   int64 // bytes it takes
	device uint64
	state  handState
}

type handState byte

const (
	inHands  handState = iota
	returned           // in nobody's, and passed over by who reads the log
	ended              // done, and in queues.db as yet
)

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
	if n := s.known(l); n != nil {
		return n
	}
	n := &line{Line: l, name: lineName(l), share: s.shares[l.App]}
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
func (s *Spool) forgetLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.naming.Lock()
	defer s.naming.Unlock()
	for key, n := range s.lines {
		if n.log+n.queued+n.puts > 0 {
			continue
		}
		delete(s.lines, key)
		if n.share.lines--; n.share.lines == 0 {
			delete(s.shares, key.App)
		}
	}
}

// grow counts bytes that come or, below 0, go.
func (n *line) grow(bytes int64) {
	n.bytes += bytes
	n.share.bytes += bytes
}

// device is the hash of a device of n.
func (s *Spool) device(n *line, token []byte) uint64 {
	return maphash.Bytes(s.seed, token) ^ bits.RotateLeft64(maphash.String(s.seed, n.name), 1)
}

// Begins reports whether there was no spool when it was opened, or a damaged one.
func (s *Spool) Begins() bool { return s.begins }

// Failing says why the spool cannot be written, in words for the operator; nil if
// it can.
func (s *Spool) Failing() error { return s.queues.whyFailing() }

// OpenSpool opens the spool of the store in dir, and makes one where there is
// none. A file that is damaged is set aside under another name. An error is a
// sentence for the operator. The caller closes it.
func OpenSpool(dir string, o Options) (*Spool, error) { return openSpool(dir, o, false) }

func openSpool(dir string, o Options, leaveDamaged bool) (*Spool, error) {
	o.setDefaults()
	if err := refuseOldSpool(dir); err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, spoolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the spool: %w", err)
	}
	s := &Spool{
		dir: dir, now: o.Now, bounds: newBounds(o), seed: maphash.MakeSeed(),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
		quit:    make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1),
		held: make(map[uint64]hand), shares: make(map[string]*share), lines: make(map[store.Line]*line),
	}
	if err := s.openQueues(leaveDamaged); err != nil {
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
func (s *Spool) Close() error {
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

// Flush implements store.Spool.
func (s *Spool) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.flush(false)
}

func (s *Spool) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return nil
}
