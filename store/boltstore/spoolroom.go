package boltstore

import "slices"

// makeRoom gives back what is done or has expired, for a Put that has no room. It
// reports whether there was anything.
func (s *Spool) makeRoom() bool {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	now := s.now().Unix()
	expired := func(g *segment) bool { return g.footer.Soonest != 0 && g.footer.Soonest <= now }
	s.mu.Lock()
	before := s.total
	due := slices.DeleteFunc(slices.Clone(s.segments), func(g *segment) bool { return !expired(g) })
	idle := s.barren == s.freed+1 && len(due) == 0
	s.mu.Unlock()
	if idle {
		return false
	}
	for _, g := range due {
		s.sweep(g, now)
	}
	s.rollSparse()
	s.flushNow(false)
	for s.clean(8) {
	}
	if !s.shrank(before) && !s.clean(32) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.barren = s.freed + 1
		return false
	}
	s.flushNow(false)
	return true
}

func (s *Spool) shrank(before int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total < before
}

// sweep ends the records of a segment that have expired and are in nobody's hands.
func (s *Spool) sweep(g *segment, now int64) {
	var left footer // of those that have not
	s.mu.Lock()
	end, sealed := g.size, g.sealed
	s.mu.Unlock()
	var n *line
	s.scan(g, 0, end, func(_ *scanner, f frame, at int64) bool {
		n = s.lineOf(f, n)
		if f.expires == 0 || n == nil {
			return true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		h := hand{line: n, seg: g, off: at, size: int64(f.size)}
		switch held, ok := s.held[f.id]; {
		case g.isDone(at):
		case f.expires > now:
			left.expires(f.expires)
		case !ok || held.state == returned:
			s.endLogged(f.id, h)
			s.expired++
		}
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if sealed {
		g.footer.Soonest = left.Soonest
	}
}

// rollSparse seals the current segment if an eighth of it is done, so that it can be
// written anew.
func (s *Spool) rollSparse() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	g := s.current
	sparse := g != nil && g.size > g.live && (g.size-g.live)*8 >= g.size
	s.mu.Unlock()
	if sparse {
		s.roll()
	}
}
