package boltstore

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/boltstore/idtable"
	"apnsbridge/store/boltstore/queuedb"
	"apnsbridge/store/boltstore/seglog"
)

// Spool implements store.Spool, in the directory spool:
//
//	*.log      segments of one log for all lines; for these files see seglog
//	*.done     which records of a segment are done
//	*.sum      what a segment contains, so that it need not be read
//	room       bytes that are given up when the disk is full
//	broken     the first bytes of what could not be read, for the operator
//	queues.db  the devices' queues; see queues
//	waiting    what waits, as of a second ago, for other processes to read
//
// A record goes into the log, or into its device's queue; what waits for its device is
// moved there from the log. Of what waits in the log only the number is known in memory:
// each line reads through the log.
type Spool struct {
	dir    string
	now    func() time.Time
	bounds bounds
	log    *seglog.Log
	queues queues
	begins bool               // when it was opened there was no spool, or a damaged one
	aside  *boltfile.SetAside // what was found damaged when it was opened; may be nil
	seed   maphash.Seed

	failing boltfile.Failing // of the log, and of what frees space on a full disk

	closing sync.Once
	quit    chan struct{}
	ended   chan struct{}
	wake    chan struct{}

	cleaning sync.Mutex // held while flushing, or writing segments anew

	mu      sync.Mutex // taken before the log's
	closed  bool
	held    idtable.Table[hand]
	done    []queuedb.Key // to be deleted from queues
	lastID  uint64
	queued  int64 // bytes in queues, including Puts under way
	expired uint64

	lines lines // changed only while mu is held
}

// line is what is known of a line.
type line struct {
	store.Line
	seglog.Tally       // what is in the log
	puts         int   // under way
	queued       int   // records in queues
	bytes        int64 // of the records in queues
	since        int64 // none of these was put earlier, in seconds since 1970; 0: there are none

	reading sync.Mutex // held while taking from the log; taken before mu
	cursor  uint64     // records in the log with a lower ID are done or held
}

// hand is a record that a caller holds.
type hand struct {
	line   *line
	size   int64  // in bytes
	device uint64 // of the queue that it is in; 0: it is in the log
	done   bool   // but not yet deleted from queues.db
}

// out gives the record of the log that has the ID id.
func (h hand) out(id uint64) seglog.Out {
	return seglog.Out{ID: id, Size: h.size, Tally: &h.line.Tally}
}

func (n *line) empty() bool { return n.Records.Load() == 0 && n.queued == 0 }

// line gives the line l, a new one if there was none.
func (s *Spool) line(l store.Line) *line {
	n := s.lines.known(l)
	if n == nil {
		n = &line{Line: l}
		n.Name = l.Joined()
		s.lines.add(n)
	}
	return n
}

// begin is what every reading method begins with. It gives the line, or nil if there is
// nothing of it.
func (s *Spool) begin(ctx context.Context, l store.Line) (*line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	return s.lines.known(l), ctx.Err()
}

// forgetLines removes lines that have nothing.
func (s *Spool) forgetLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines.remove(func(n *line) bool { return n.empty() && n.puts == 0 && n.Lost.Load() == 0 })
}

// seen notes when a record in a queue of n was put.
func (n *line) seen(put int64) {
	if n.since == 0 || put < n.since {
		n.since = put
	}
}

// total is how many bytes are on disk, including Puts under way.
func (s *Spool) total() int64 { return s.log.Size() + s.queued }

// device is the hash of a device of n.
func (s *Spool) device(n *line, token []byte) uint64 {
	return maphash.Bytes(s.seed, token) ^ bits.RotateLeft64(maphash.String(s.seed, n.Name), 1) | 1
}

func (s *Spool) path(name string) string { return filepath.Join(s.dir, name) }

// Failing says why the spool cannot be written, in words for the operator; nil if
// it can.
func (s *Spool) Failing() error { return cmp.Or(s.failing.Words(), s.queues.Failing.Words()) }

// Close makes durable what is done and closes the spool. Later calls get
// store.ErrClosed.
func (s *Spool) Close() error {
	err := store.ErrClosed
	s.closing.Do(func() {
		close(s.quit)
		<-s.ended
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.log.Roll()
		err = s.flush()
		s.tell()
		err = errors.Join(err, s.queues.Close())
	})
	return err
}

// Waiting implements store.Spool.
func (s *Spool) Waiting(l store.Line) int {
	if n := s.lines.known(l); n != nil {
		return int(n.Waiting.Load())
	}
	return 0
}

// Queued implements store.Spool.
func (s *Spool) Queued(l store.Line, token []byte) bool {
	n := s.lines.known(l)
	return n != nil && s.queues.devices.bytes(s.device(n, token)) > 0
}

// Lines implements store.Spool. A fleet's node calls it with each Put; it reads only
// memory.
func (s *Spool) Lines() (lines []store.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.waiting() {
		lines = append(lines, n.Line)
	}
	return lines
}

// waiting gives the lines that are not empty, in the order of their names. The caller holds
// s.mu.
func (s *Spool) waiting() (list []*line) {
	for _, n := range s.lines.by {
		if !n.empty() {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *line) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Stats implements store.Spool.
func (s *Spool) Stats() store.SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := store.SpoolStats{
		Bytes: s.total(), Bound: s.bounds.total, Segments: s.log.Segments(),
		Expired: s.expired,
	}
	stats.Broken, stats.Kept = s.log.Broken()
	for l, n := range s.lines.by {
		if lost := n.Lost.Load(); lost > 0 {
			stats.Lost = append(stats.Lost, store.LineLost{Line: l, Records: int(lost)})
		}
	}
	for _, n := range s.waiting() {
		w := store.LineWaiting{
			Line: n.Line, Log: int(n.Records.Load()), Queued: n.queued, Bytes: n.Bytes.Load() + n.bytes, Since: n.since,
		}
		if since := s.log.Since(&n.Tally); since != 0 && (w.Since == 0 || since < w.Since) {
			w.Since = since
		}
		stats.Lines = append(stats.Lines, w)
	}
	return stats
}
