package bridge

import (
	"context"
	"errors"
	"slices"

	"apnsbridge/store"
)

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

// write makes durable some of what has come, in one commit. It says whether that
// was anything. The error is store.ErrSpoolFull if there are full shelves; after
// another one nothing can be written for now.
func (s *spool) write() (wrote bool, err error) {
	if s.collect() {
		err = store.ErrSpoolFull
	}
	if len(s.parcels) > 0 {
		var failure error
		if wrote, failure = s.put(); failure != nil {
			err = failure
			s.fault.failed(err)
		}
		if failure != nil && !errors.Is(failure, store.ErrSpoolFull) {
			s.handBack()
		}
	}
	if wrote && err == nil {
		s.fault.worked()
	}
	s.conclude(err)
	return wrote, err
}

// collect makes parcels of what has come, but of full shelves. One of which not
// all parcels are written has to wait: so none keeps the others waiting. It says
// whether there are full ones.
func (s *spool) collect() (full bool) {
	s.mu.Lock()
	var ready []*shelf
	rest := s.pending[:0]
	for _, f := range s.pending {
		full = full || f.full.Load()
		if f.writing || f.full.Load() {
			rest = append(rest, f)
			continue
		}
		f.writing = true
		ready = append(ready, f)
	}
	clear(s.pending[len(rest):])
	s.pending = rest
	for i := range s.after {
		if a := &s.after[i]; slices.Contains(ready, a.shelf) {
			a.covered = true
		}
	}
	s.mu.Unlock()
	for _, f := range ready {
		s.parcels = f.collect(s.parcels)
	}
	return full
}

// conclude does what was to be done when something is written, or cannot be for
// err.
func (s *spool) conclude(err error) {
	var done []afterwards
	s.mu.Lock()
	s.failure = err
	for _, f := range s.shelves {
		f.writing = slices.ContainsFunc(s.parcels, func(p parcel) bool { return p.end.shelf == f })
	}
	rest := s.after[:0]
	for _, a := range s.after {
		f := a.shelf
		failed := f.full.Load() || err != nil && !errors.Is(err, store.ErrSpoolFull)
		switch {
		case failed && s.mode == SpoolAlways && !s.last.Load(),
			!failed && f.writing,
			!failed && !a.covered && slices.Contains(s.pending, f):
			rest = append(rest, a)
		default:
			done = append(done, a)
		}
	}
	clear(s.after[len(rest):])
	s.after = rest
	s.mu.Unlock()
	for _, a := range done {
		a.do()
	}
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
