package gateway

import "time"

func (s *Server) linger(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lingering[c] = time.Now()
}

// sweep ends the connections that linger for too long.
func (s *Server) sweep() {
	defer close(s.sweepEnded)
	l := s.front.limits
	tick := time.NewTicker(max(min(l.LingerIdle, l.LingerPressed)/4, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.stopSweep:
			return
		case now := <-tick.C:
			s.sweepOnce(now)
		}
	}
}

func (s *Server) sweepOnce(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.front.limits
	for c, since := range s.lingering {
		bound, total := l.LingerIdle, l.LingerTotal
		if s.draining || c.drained.Load() {
			bound = l.LingerPressed
		}
		if c.pressed.Load() {
			total = l.LingerPressed
		}
		if c.silence(now) >= bound || now.Sub(since) >= total {
			s.endLinger(c)
		}
	}
}

// relieve ends the connection that has lingered in silence for longest, or, if all of them
// go on writing, the one that has lingered for longest in all. It reports whether there is
// one that has had its time.
func (s *Server) relieve() bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest, oldest *Conn
	for c, since := range s.lingering {
		if c.silence(now) >= s.front.limits.LingerPressed && (longest == nil || c.silence(now) > longest.silence(now)) {
			longest = c
		}
		if now.Sub(since) >= s.front.limits.LingerIdle && (oldest == nil || since.Before(s.lingering[oldest])) {
			oldest = c
		}
	}
	if longest == nil {
		longest = oldest
	}
	if longest == nil {
		return false
	}
	s.endLinger(longest)
	return true
}

// ender is a session that can be asked to end in an orderly way.
type ender interface{ End() }

// yield makes a connection give way: the one that has been idle for longest, of the app
// that is furthest beyond its share. It returns its place; nil if no app is beyond its
// share. The provider is told as at a shutdown, and has LingerPressed to end its side.
func (s *Server) yield(excess map[string]int) *place {
	now := time.Now()
	s.mu.Lock()
	if s.pressed >= s.front.limits.Handshakes {
		s.mu.Unlock()
		return nil // that many are already on their way out
	}
	var gives *Conn
	for c := range s.conns {
		if excess[c.place.app] == 0 || c.pressed.Load() {
			continue
		}
		if gives == nil || excess[c.place.app] > excess[gives.place.app] ||
			c.place.app == gives.place.app && c.silence(now) > gives.silence(now) {
			gives = c
		}
	}
	if gives != nil {
		gives.pressed.Store(true)
		s.pressed++
	}
	s.mu.Unlock()
	if gives == nil {
		return nil
	}
	if e, ok := gives.session.(ender); ok {
		e.End()
	} else {
		gives.Close()
	}
	return gives.place
}

func (s *Server) endLinger(c *Conn) {
	delete(s.lingering, c)
	s.counters.lingerEnded.Add(1)
	c.abort(errLingered)
}
