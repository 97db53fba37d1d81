package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/store"
)

// SpoolMode says which notifications are written to disk.
type SpoolMode uint8

// The modes, as in the configuration.
const (
	SpoolOff      SpoolMode = iota // none: what waits is in memory, and a crash loses it
	SpoolOverflow                  // those that have to wait, and at the end those without a verdict
	SpoolAlways                    // all, before they are forwarded
)

// Spool keeps notifications on disk: the part of store.Spool that the bridge
// needs.
type Spool interface {
	Put(ctx context.Context, batches ...store.SpoolBatch) error
	Take(ctx context.Context, queue string, limit int, bytes int64) ([]store.SpoolRecord, error)
	Return(queue string, ids ...uint64)
	Done(queue string, ids ...uint64)
	Waiting(queue string) int
}

// spool carries notifications to the store and back. One goroutine does both:
// it writes whatever came during the last commit in one, and then reads on where
// there is room.
type spool struct {
	store  Spool
	mode   SpoolMode
	ahead  int64         // bytes that are read ahead, of an app and environment
	delay  time.Duration // after an error, before the next attempt
	log    zerolog.Logger
	fault  complaint
	wake   chan struct{}
	closed atomic.Bool // nothing is sent any more: what waits goes to the store
	last   atomic.Bool // what cannot be written now never will
	freed  atomic.Bool // something has left the queue of a full shelf

	mu      sync.Mutex
	shelves map[string]*shelf // by app
	pending []*shelf          // with something to write
	after   []afterwards
	failure error // of the last attempt to write; nil: it succeeded

	// Of run alone.
	batches []store.SpoolBatch
	parcels []parcel
	arena   []byte
}

// afterwards is to be done when all is durable that a shelf had to write.
type afterwards struct {
	shelf   *shelf
	do      func()
	covered bool // all that is on its way to disk
}

// parcel is what goes to one queue in one commit.
type parcel struct {
	end     *shelfEnd
	records []*record
}

func newSpool(s Spool, mode SpoolMode, limits Limits, log zerolog.Logger) *spool {
	return &spool{
		store: s, mode: mode, ahead: limits.SpoolAhead, delay: limits.RetryDelay, log: log, wake: make(chan struct{}, 1),
		shelves: make(map[string]*shelf),
		fault: complaint{log: log, now: time.Now, what: "the spool cannot be written: what waits stays in memory, and connections are not read further when that is full",
			over: "the spool can be written again"},
	}
}

// shelfOf finds or makes an app's part of the spool. It outlives the app's
// removal.
func (s *spool) shelfOf(app string) *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.shelves[app]
	if f == nil {
		f = &shelf{spool: s}
		for e := range f.ends {
			end := &f.ends[e]
			end.shelf, end.environment, end.queue = f, Environment(e), queueName(app, Environment(e))
			end.waiting = s.store.Waiting(end.queue)
			end.note()
		}
		s.shelves[app] = f
	}
	return f
}

func (s *spool) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// announce says that f has something to write.
func (s *spool) announce(f *shelf) {
	s.mu.Lock()
	s.pending = append(s.pending, f)
	s.mu.Unlock()
	s.rouse()
}

// then calls do when all that f has to write by now is durable, or, but in
// SpoolAlways, when it is known that it cannot be.
func (s *spool) then(f *shelf, do func()) {
	s.mu.Lock()
	if !f.writing && !slices.Contains(s.pending, f) {
		s.mu.Unlock()
		do()
		return
	}
	s.after = append(s.after, afterwards{shelf: f, do: do})
	s.mu.Unlock()
	s.rouse()
}

// roomAfter is how soon writing is tried again after a failure while what is on
// disk goes to APNs, which makes room.
const roomAfter = 20 * time.Millisecond

// run works until ctx ends, and then writes what is left.
func (s *spool) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Time // when what could not be written is tried again
	var broken bool    // until then nothing can be; else only shelves that are full
	for {
		now, stuck := time.Now(), broken
		if !now.Before(next) {
			next, broken = time.Time{}, false
			s.retryFull()
		}
		if !broken {
			wrote, err := s.write()
			if err != nil && next.IsZero() {
				next = now.Add(s.delay) // one for each that comes would be too many
			}
			if wrote {
				s.rouse() // there may be more; but reading has its turn first
			}
			broken = err != nil && !errors.Is(err, store.ErrSpoolFull)
			stuck = err != nil && !wrote
		}
		replayed := !s.closed.Load() && s.replayAll()
		if replayed {
			s.rouse()
		}
		if soon := time.Now().Add(roomAfter); (s.freed.Swap(false) || replayed) && soon.Before(next) {
			next = soon
		}
		if !next.IsZero() {
			if stuck && s.last.Load() {
				s.abandon()
				return
			}
			timer.Reset(time.Until(next))
		}
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
			if next = (time.Time{}); !s.last.Swap(true) {
				continue
			}
			if s.idle() {
				return
			}
		}
	}
}

func (s *spool) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)+len(s.parcels) == 0
}

// Unspooled says why notifications that are to be on disk are not; nil if they
// are. In SpoolAlways they are not forwarded then.
func (b *Bridge) Unspooled() error {
	if b.spool == nil {
		return nil
	}
	b.spool.mu.Lock()
	defer b.spool.mu.Unlock()
	return b.spool.failure
}
