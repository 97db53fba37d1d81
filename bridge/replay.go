package bridge

import (
	"context"

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
	idle := e.waiting == 0 || room < f.spool.ahead/2 || app == nil
	f.mu.Unlock()
	if idle {
		return false
	}
	taken, err := f.spool.store.Take(context.Background(), e.queue, putRecords, room)
	if err != nil {
		f.spool.log.Error().Err(err).Str("queue", e.queue).Msg("the spool cannot be read")
		return false
	}
	for i := range taken {
		app.replay(&taken[i], e)
	}
	// Whoever arrived before this line is behind those that were read: he looked
	// at busy before he took his place.
	f.mu.Lock()
	e.waiting -= len(taken)
	e.note()
	more = e.waiting > 0
	f.mu.Unlock()
	return more && len(taken) > 0
}

// replay makes a notification of what was read from disk, and lets it take its
// turn.
func (a *app) replay(from *store.SpoolRecord, e *shelfEnd) {
	r, err := readSpooled(from)
	if err != nil {
		a.counters.unreadable.Add(1)
		a.bridge.log.Error().Err(err).Str("queue", e.queue).Uint64("id", from.ID).Msg("a notification in the spool cannot be read: it is given up")
		e.shelf.spool.store.Done(e.queue, from.ID)
		return
	}
	r.app, r.environment, r.end = a, e.environment, e.environment
	r.spoolID, r.turn = from.ID, true
	r.place.Store(uint32(spooling))
	a.counters.replayed.Add(1)
	a.bridge.unsettled.Add(1)
	a.account.add(r.size())
	e.shelf.mu.Lock()
	e.ahead += r.size()
	e.shelf.mu.Unlock()
	a.takeTurn(r)
}
