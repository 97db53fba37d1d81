package bridge

import (
	"sync"
	"sync/atomic"

	"apnsbridge/bridge/conversation"
)

// shelf is an app's part of the spool. It keeps the order of a device's
// notifications between memory and disk: one that arrives while others wait on
// disk takes its turn behind them.
//
// Its lock is taken behind a client's and before those of chains.
type shelf struct {
	spool *spool

	unwritten atomic.Int64 // bytes of what is to be written
	full      atomic.Bool  // its queue has no room
	writing   bool         // some of it is in the spool's parcels; under the spool's lock

	mu        sync.Mutex
	app       *app
	announced bool        // to the spool: there is something to write
	ends      [2]shelfEnd // of Production and Sandbox
}

// shelfEnd is what waits for one environment. It is under the shelf's lock; busy
// and shelved may be read without.
type shelfEnd struct {
	shelf       *shelf
	queue       string
	environment Environment

	busy    atomic.Bool   // others wait on disk, or are about to
	shelved atomic.Uint64 // how often others came to do so
	puts    []*record     // to be written, in this order
	leaving int           // of those, the ones that then leave memory
	waiting int           // on disk, and not in memory
	ahead   int64         // bytes in memory of those that were read from disk

	returned uint64 // the oldest of those that came back to disk since it was last read
}

// serves says whose notifications are read from disk from now on; nil: those of
// an app that is gone stay there.
func (f *shelf) serves(a *app) {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.app = a
	f.mu.Unlock()
	f.spool.rouse()
}

// ShelfStats is an app's part of the spool.
type ShelfStats struct {
	Waiting    int   // notifications on disk only
	Unwritten  int   // on their way there
	AheadBytes int64 // read from there, without a verdict, against Limits.SpoolAhead for each environment
}

func (f *shelf) stats() (st ShelfStats) {
	if f == nil {
		return st
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ends {
		e := &f.ends[i]
		st.Waiting += e.waiting
		st.Unwritten += len(e.puts)
		st.AheadBytes += e.ahead
	}
	return st
}

// note sets busy.
func (e *shelfEnd) note() { e.busy.Store(e.leaving > 0 || e.waiting > 0) }

// place is where a record is, seen from its shelf.
type place uint32

const (
	inMemory place = iota // alone
	spooling              // to be written, or stored as record.spoolID
	over                  // its delivery has ended
)

// purpose is what becomes of a record when it is stored.
type purpose uint8

const (
	toForward purpose = iota // it is forwarded then
	toKeep                   // nobody else answers for it any more; it stays in memory, for its next attempt
	toLeave                  // the same, but it leaves memory
)

// shelves says whether r waits on disk if it has to wait. If not, its turn has
// come: what was read from disk waits in memory, and so does all without a spool.
func (a *app) shelves(r *record) bool {
	return a.shelf != nil && (!r.turn || a.shelf.spool.closed.Load())
}

// busy says whether others wait on disk for the environment that r goes to.
func (f *shelf) busy(r *record) bool { return f != nil && f.ends[r.end].busy.Load() }

// shelved changes whenever others come to wait on disk.
func (f *shelf) shelved(r *record) uint64 {
	if f == nil {
		return 0
	}
	return f.ends[r.end].shelved.Load()
}

// commits says whether r is to be stored before it is forwarded. If so, it will
// be.
func (f *shelf) commits(r *record) bool {
	if f == nil || f.spool.mode != SpoolAlways {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(r, toForward)
	return true
}

// keep has r stored while it waits in memory for its next attempt, or for the
// answer to the one that runs. Then nobody else answers for it.
func (f *shelf) keep(r *record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(r, toKeep)
}

// put has r written, unless it is or its delivery has ended. f.mu is held.
func (f *shelf) put(r *record, p purpose) bool {
	if !r.place.CompareAndSwap(uint32(inMemory), uint32(spooling)) {
		return false
	}
	e := &f.ends[r.end]
	r.purpose = p
	if p == toLeave {
		e.leaving++
		e.note()
	}
	e.puts = append(e.puts, r)
	f.unwritten.Add(r.size())
	f.announce()
	return true
}

// announce says that there is something to write. f.mu is held.
func (f *shelf) announce() {
	if !f.announced {
		f.announced = true
		f.spool.announce(f)
	}
}

// shelve puts r, the first of its device, on disk with all behind it, out of
// memory. Nobody else may touch r.
func (a *app) shelve(r *record) {
	a.shelf.take(func() *record { return a.chains.leaveAll(r) })
}

// takeOne puts r on disk, which is in no chain.
func (f *shelf) takeOne(r *record) {
	f.take(func() *record { return r })
}

// take puts on disk, out of memory, what from gives, each record linked to the
// next through behind. It leaves its chain under the shelf's lock: who comes to be
// the first of its device then is stored behind it.
func (f *shelf) take(from func() *record) {
	var stored, next *record // linked through behind
	f.mu.Lock()
	for r := from(); r != nil; r = next {
		next, r.behind = r.behind, nil
		if f.toDisk(r) {
			r.behind, stored = stored, r
		}
	}
	f.mu.Unlock()
	f.spool.rouse() // there is something to read
	for r := stored; r != nil; r = next {
		next, r.behind = r.behind, nil
		r.leave(conversation.Spooled)
	}
}

// toDisk says whether r is on disk already, to be read again; if not, it will be
// written. f.mu is held.
func (f *shelf) toDisk(r *record) (stored bool) {
	e := &f.ends[r.end]
	e.shelved.Add(1)
	switch {
	case r.spoolID != 0:
		if r.replayed() {
			e.ahead -= r.size()
		}
		f.spool.store.Return(e.queue, r.spoolID)
		e.returned = min(e.returned, r.spoolID)
		e.waiting++
		stored = true
	case !f.put(r, toLeave): // to be written already
		if r.purpose != toLeave {
			r.purpose = toLeave
			e.leaving++
		}
	}
	e.note()
	return stored
}

// ended says that the delivery of r has ended so. If it is being stored that
// comes first, and the shelf sees to the rest.
func (f *shelf) ended(r *record, o conversation.Outcome) (free bool) {
	if f == nil || r.place.CompareAndSwap(uint32(inMemory), uint32(over)) {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.spoolID == 0 {
		r.ended, r.outcome = true, o
		return false
	}
	f.done(r)
	return true
}

// done takes r from the disk. f.mu is held.
func (f *shelf) done(r *record) {
	e := &f.ends[r.end]
	f.spool.store.Done(e.queue, r.spoolID)
	if f.full.Load() {
		f.spool.freed.Store(true)
		f.spool.rouse()
	}
	if !r.replayed() {
		return
	}
	before := e.ahead
	e.ahead -= r.size()
	if half := f.spool.ahead / 2; before > half && e.ahead <= half && e.waiting > 0 {
		f.spool.rouse()
	}
}

// collect takes what is to be written. What has ended meanwhile need not be.
func (f *shelf) collect(to []parcel) []parcel {
	var over []*record
	f.mu.Lock()
	f.announced = false
	for i := range f.ends {
		e := &f.ends[i]
		p := parcel{end: e}
		for _, r := range e.puts {
			f.unwritten.Add(-r.size())
			if r.ended {
				over = append(over, r)
			} else {
				p.records = append(p.records, r)
			}
		}
		clear(e.puts)
		e.puts = e.puts[:0]
		if len(p.records) > 0 {
			to = append(to, p)
		}
	}
	f.mu.Unlock()
	for _, r := range over {
		r.leave(r.outcome)
	}
	return to
}

// stored says that r is on disk.
func (f *shelf) stored(r *record, id uint64) {
	f.mu.Lock()
	if r.purpose == toForward && f.spool.closed.Load() {
		r.purpose = toLeave
		f.ends[r.end].leaving++
	}
	if r.purpose == toForward {
		r.spoolID = id
		f.mu.Unlock()
		r.app.forward(r)
		return
	}
	if r.purpose == toKeep && !r.ended {
		f.mu.Unlock()
		r.release() // until spoolID is set its delivery cannot end
		f.mu.Lock()
	}
	r.spoolID = id
	o, leaves := r.outcome, r.ended
	switch {
	case r.ended:
		f.done(r)
	case r.purpose == toLeave:
		e := &f.ends[r.end]
		f.spool.store.Return(e.queue, id)
		e.waiting++
		e.leaving--
		e.note()
		o, leaves = conversation.Spooled, true
	}
	f.mu.Unlock()
	if leaves {
		r.leave(o)
	}
}

// handBack takes what could not be written. Where nothing waits on disk, what was
// to leave memory may as well go from there: its turn has come.
func (f *shelf) handBack(p parcel) {
	var turns []*record
	f.mu.Lock()
	e := p.end
	free := f.spool.mode == SpoolOverflow && e.waiting == 0 && !f.spool.closed.Load()
	again := p.records[:0:0]
	for _, r := range p.records {
		f.unwritten.Add(r.size())
	}
	for _, r := range append(p.records, e.puts...) {
		switch {
		case free && r.purpose == toLeave && !r.ended:
			r.turn = true
			f.unwritten.Add(-r.size())
			r.place.Store(uint32(inMemory))
			turns = append(turns, r)
		default:
			again = append(again, r)
		}
	}
	e.puts = again
	f.mu.Unlock()
	for _, r := range turns {
		if r.app.chains.enter(r) == first {
			r.app.send(r)
		}
	}
	f.mu.Lock()
	e.leaving -= len(turns)
	e.note()
	if len(e.puts) > 0 {
		f.announce()
	}
	f.mu.Unlock()
}
