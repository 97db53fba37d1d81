package pgstore

import (
	"slices"

	"apnsbridge/store"
)

// Return implements store.Spool.
func (s *Spool) Return(name store.Line, keys ...store.SpoolKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[name]
	if l == nil {
		return
	}
	for _, k := range keys {
		if k.Queued {
			if d := l.devices[string(k.Token)]; d != nil && d.held[k.ID] != nil && !d.held[k.ID].done {
				delete(d.held, k.ID)
			}
		} else if b := l.find(k.ID); b != nil {
			if i, held := b.at(k.ID); held {
				b.giveBack(i)
				l.waiting++
			}
		}
	}
}

// Done implements store.Spool.
func (s *Spool) Done(name store.Line, keys ...store.SpoolKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[name]
	if l == nil {
		return
	}
	for _, k := range keys {
		if k.Queued {
			if d := l.devices[string(k.Token)]; d != nil && d.held[k.ID] != nil && !d.held[k.ID].done {
				s.endQueued(l, d, k.Token, k.ID)
			}
		} else if b := l.find(k.ID); b != nil {
			if i, held := b.at(k.ID); held {
				b.giveBack(i)
				s.endLogged(l, b, i)
			}
		}
	}
}

// endQueued ends a record of a queue that is checked out.
func (s *Spool) endQueued(l *line, d *device, token []byte, id uint64) {
	r := d.held[id]
	r.done = true
	l.done = append(l.done, queuedKey{string(token), id})
	d.records--
	d.bytes -= r.cost
	l.queued--
	s.grow(l, -r.cost)
}

// endLogged ends a record of the log that is not checked out, and marks its row to be written.
func (s *Spool) endLogged(l *line, b *batch, i int) {
	s.leaveLog(l, b, i)
	l.change(b)
}

// leaveLog counts a record of the log that has ended or moved. A row's bytes are free when its
// last record has.
func (s *Spool) leaveLog(l *line, b *batch, i int) {
	b.end(i)
	l.logRecords--
	if b.ended == b.records {
		s.grow(l, -b.cost)
		b.cost = 0
	}
}

// Waiting implements store.Spool.
func (s *Spool) Waiting(name store.Line) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lines[name]; l != nil {
		return l.waiting
	}
	return 0
}

// Queued implements store.Spool.
func (s *Spool) Queued(name store.Line, token []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[name]
	if l == nil {
		return false
	}
	d := l.devices[string(token)]
	return d != nil && d.records > 0
}

// Lines implements store.Spool.
func (s *Spool) Lines() (names []store.Line) {
	for _, l := range s.Stats().Lines {
		names = append(names, l.Line)
	}
	return names
}

// Stats implements store.Spool.
func (s *Spool) Stats() store.SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := store.SpoolStats{Bytes: s.total, Bound: s.bounds.total, Expired: s.expired, Broken: s.broken}
	for name, l := range s.lines {
		if l.logRecords+l.queued == 0 {
			continue
		}
		w := store.LineWaiting{Line: name, Log: l.logRecords, Queued: l.queued, Bytes: l.bytes}
		if l.queued > 0 {
			w.Since = l.since
		}
		for _, b := range l.log {
			if b.ended < b.records {
				w.Since = sooner(w.Since, b.since)
				break
			}
		}
		stats.Lines = append(stats.Lines, w)
	}
	slices.SortFunc(stats.Lines, func(a, b store.LineWaiting) int { return compareLines(a.Line, b.Line) })
	return stats
}
