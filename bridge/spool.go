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
	writing bool
	after   []afterwards
	failure error // of the last attempt to write; nil: it succeeded

	// Of run alone.
	batches []store.SpoolBatch
	parcels []parcel
	arena   []byte
}

// afterwards is to be done when all is durable that a shelf had to write.
type afterwards struct {
	shelf *shelf
	do    func()
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
	if !s.writing && !slices.Contains(s.pending, f) {
		s.mu.Unlock()
		do()
		return
	}
	s.after = append(s.after, afterwards{f, do})
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
				s.rouse() // more may have come; but reading has its turn first
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
	return len(s.pending) == 0
}

const (
	putRecords = 1024    // in one commit, of a queue
	putBytes   = 4 << 20 // in one commit, of a queue
)

// retryFull has what is on full shelves tried again.
func (s *spool) retryFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.shelves {
		f.full.Store(false)
	}
}

// write makes durable what has come, but for full shelves. It says whether that
// was anything. The error is store.ErrSpoolFull if there are such; after another
// one nothing can be written for now.
func (s *spool) write() (wrote bool, err error) {
	s.mu.Lock()
	pending, after := s.pending, s.after
	s.pending, s.after = nil, nil
	s.writing = true
	s.mu.Unlock()
	s.parcels = s.parcels[:0]
	var full []*shelf
	for _, f := range pending {
		if f.full.Load() {
			full, err = append(full, f), store.ErrSpoolFull
			continue
		}
		s.parcels = f.collect(s.parcels)
	}
	for len(s.parcels) > 0 {
		some, failure := s.put()
		wrote = wrote || some
		if failure == nil {
			continue
		}
		err = failure
		s.fault.failed(err)
		if !errors.Is(err, store.ErrSpoolFull) {
			s.handBack()
		}
	}
	if wrote && err == nil {
		s.fault.worked()
	}
	s.mu.Lock()
	s.writing, s.failure = false, err
	s.pending = append(full, s.pending...)
	done := after[:0]
	var kept []afterwards
	for _, a := range after {
		if err != nil && (a.shelf.full.Load() || !errors.Is(err, store.ErrSpoolFull)) && s.mode == SpoolAlways && !s.last.Load() {
			kept = append(kept, a)
		} else {
			done = append(done, a)
		}
	}
	s.after = append(kept, s.after...)
	s.mu.Unlock()
	for _, a := range done {
		a.do()
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

// put writes the first records of each parcel, and sees to what follows for them.
// What is left of the parcels stays, but those whose queue has no room: they go
// back to their shelves, which are full then.
func (s *spool) put() (wrote bool, err error) {
	s.encode()
	together := s.store.Put(context.Background(), s.batches...)
	left := s.parcels[:0]
	for i, p := range s.parcels {
		failure := together
		if errors.Is(together, store.ErrSpoolFull) {
			failure = s.putSome(&s.batches[i])
		}
		switch {
		case failure == nil:
			wrote = true
			if p.stored(s.batches[i].Records); len(p.records) > 0 {
				left = append(left, p)
			}
		case errors.Is(failure, store.ErrSpoolFull):
			err = failure
			p.end.shelf.full.Store(true)
			p.end.shelf.handBack(p)
		default:
			s.parcels = append(left, s.parcels[i:]...)
			return wrote, failure
		}
	}
	clear(s.parcels[len(left):])
	s.parcels = left
	return wrote, err
}

// putSome writes as many of the first records of b as its queue has room for, and
// takes the others out. The error is store.ErrSpoolFull if that is none.
func (s *spool) putSome(b *store.SpoolBatch) error {
	for {
		err := s.store.Put(context.Background(), *b)
		if !errors.Is(err, store.ErrSpoolFull) || len(b.Records) == 1 {
			return err
		}
		b.Records = b.Records[:len(b.Records)/2]
	}
}

// encode makes s.batches of the first records of each parcel.
func (s *spool) encode() {
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
}

// stored takes out the first records, which are on disk.
func (p *parcel) stored(written []store.SpoolRecord) {
	for i := range written {
		p.end.shelf.stored(p.records[i], written[i].ID)
	}
	p.records = p.records[len(written):]
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
