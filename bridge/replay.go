package bridge

import (
	"context"
	"math"

	"apnsbridge/store"
)

// replayAll reads from disk what has its turn. It says whether there may be more
// to read at once.
func (s *spool) replayAll() (more bool) {
	s.mu.Lock()
	all := make([]*shelf, 0, len(s.shelves))
	for _, f := range s.shelves {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		for e := range f.ends {
			more = f.replay(&f.ends[e]) || more
		}
	}
	return more
}

// replay reads on at one end, as far as there is room.
func (f *shelf) replay(e *shelfEnd) (more bool) {
	f.mu.Lock()
	app, room := f.app, f.spool.ahead-e.ahead
	e.returned = math.MaxUint64
	idle := e.waiting == 0 || room < f.spool.ahead/2 || app == nil
	f.mu.Unlock()
	if idle {
		return false
	}
	// Half of the room is for what a record costs besides its bytes.
	limit := min(putRecords, max(1, room/2/recordOverhead))
	taken, err := f.spool.store.Take(context.Background(), e.queue, int(limit), room/2)
	if err != nil {
		f.spool.log.Error().Err(err).Str("queue", e.queue).Msg("the spool cannot be read")
		return false
	}
	read := make([]*record, 0, len(taken))
	for i := range taken {
		if r := app.readSpooled(&taken[i], e); r != nil {
			read = append(read, r)
		}
	}
	f.mu.Lock()
	ready, replayed := read[:0], 0
	for _, r := range read {
		if r.spoolID > e.returned {
			// One that is older has come back to disk meanwhile, perhaps of the
			// same device.
			f.spool.store.Return(e.queue, r.spoolID)
			r.free()
			continue
		}
		replayed++
		app.bridge.unsettled.Add(1)
		app.account.add(r.size())
		e.ahead += r.size()
		if app.chains.enter(r) == first {
			ready = append(ready, r)
		}
	}
	e.waiting = f.spool.store.Waiting(e.queue) // which also drops what has expired
	e.note()
	more = e.waiting > 0 && len(taken) > 0
	f.mu.Unlock()
	app.counters.replayed.Add(uint64(replayed))
	for _, r := range ready {
		app.send(r)
	}
	return more
}

// readSpooled makes a notification of what was read from disk; nil if nobody can.
func (a *app) readSpooled(from *store.SpoolRecord, e *shelfEnd) *record {
	r, err := readSpooled(from)
	if err != nil {
		a.counters.unreadable.Add(1)
		a.bridge.log.Error().Err(err).Str("queue", e.queue).Uint64("id", from.ID).Msg("a notification in the spool cannot be read: it is given up")
		e.shelf.spool.store.Done(e.queue, from.ID)
		return nil
	}
	r.app, r.environment, r.end = a, e.environment, e.environment
	r.spoolID, r.turn = from.ID, true
	r.place.Store(uint32(spooling))
	return r
}
