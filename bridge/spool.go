package bridge

import (
	"context"
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

	mu      sync.Mutex
	shelves map[string]*shelf // by app
	pending []*shelf          // with something to write
	writing bool
	after   []func() // when all that is to be written now is durable
	failure error    // of the last attempt to write; nil: it succeeded

	// Of run alone.
	batches []store.SpoolBatch
	parcels []parcel
	arena   []byte
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

// then calls done when all that is to be written by now is durable, or, but in
// SpoolAlways, when it is known that it cannot be.
func (s *spool) then(done func()) {
	s.mu.Lock()
	if len(s.pending) == 0 && !s.writing {
		s.mu.Unlock()
		done()
		return
	}
	s.after = append(s.after, done)
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
	var next time.Time // of the next attempt to write, after one that failed
	for {
		if now := time.Now(); !now.Before(next) {
			next = time.Time{}
			wrote, err := s.write()
			switch {
			case err != nil:
				next = now.Add(s.delay) // one for each that comes would be too many
			case wrote:
				s.rouse() // more may have come; but reading has its turn first
			}
		}
		if !s.closed.Load() && s.replayAll() {
			s.rouse()
			if soon := time.Now().Add(roomAfter); soon.Before(next) {
				next = soon
			}
		}
		if !next.IsZero() {
			if s.last.Load() {
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
	return len(s.pending) == 0
}

const (
	putRecords = 1024    // in one commit, of a queue
	putBytes   = 4 << 20 // in one commit, of a queue
)

// write makes durable what has come. It says whether there was anything.
func (s *spool) write() (wrote bool, err error) {
	s.mu.Lock()
	pending, after := s.pending, s.after
	s.pending, s.after = nil, nil
	s.writing = true
	s.mu.Unlock()
	s.parcels = s.parcels[:0]
	for _, f := range pending {
		s.parcels = f.collect(s.parcels)
	}
	for len(s.parcels) > 0 && err == nil {
		err = s.put()
		wrote = true
	}
	if err != nil {
		s.handBack()
	}
	s.mu.Lock()
	s.writing, s.failure = false, err
	if err != nil && s.mode == SpoolAlways && !s.last.Load() {
		s.after, after = append(after, s.after...), nil
	}
	s.mu.Unlock()
	for _, done := range after {
		done()
	}
	return wrote, err
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

// put writes the first records of each parcel, and sees to what follows for
// them. What is left of the parcels stays.
func (s *spool) put() error {
	s.batches, s.arena = s.batches[:0], s.arena[:0]
	for _, p := range s.parcels {
		b := store.SpoolBatch{Queue: p.end.queue}
		start := len(s.arena)
		for _, r := range p.records {
			if len(b.Records) == putRecords || len(s.arena)-start > putBytes {
				break
			}
			at := len(s.arena)
			s.arena = appendSpooled(s.arena, r)
			b.Records = append(b.Records, store.SpoolRecord{Token: r.Token(), Expires: r.expiresAt(), Body: s.arena[at:len(s.arena):len(s.arena)]})
		}
		s.batches = append(s.batches, b)
	}
	if err := s.store.Put(context.Background(), s.batches...); err != nil {
		s.fault.failed(err)
		return err
	}
	s.fault.worked()
	left := s.parcels[:0]
	for i, p := range s.parcels {
		written := s.batches[i].Records
		for n := range written {
			p.end.shelf.stored(p.records[n], written[n].ID)
		}
		if p.records = p.records[len(written):]; len(p.records) > 0 {
			left = append(left, p)
		}
	}
	clear(s.parcels[len(left):])
	s.parcels = left
	return nil
}

// handBack gives the shelves what could not be written. What nobody is waiting
// for on disk may go from memory then.
func (s *spool) handBack() {
	for _, p := range s.parcels {
		p.end.shelf.handBack(p)
	}
	clear(s.parcels)
	s.parcels = s.parcels[:0]
}

// abandon counts what will never be written.
func (s *spool) abandon() {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	var lost uint64
	for _, f := range pending {
		for _, p := range f.collect(nil) {
			lost += uint64(len(p.records))
			for _, r := range p.records {
				r.app.counters.abandoned.Add(1)
			}
		}
	}
	if lost > 0 {
		s.log.Error().Uint64("notifications", lost).Msg("notifications are lost: the spool could not be written before the end")
	}
}
