package gateway

import "time"

// MoveAway makes all providers appear that far away, there and back.
func (s *Server) MoveAway(trip time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roundTrip = func(int) (time.Duration, bool) { return trip, true }
}

// OnLoop reports whether a loop has the connection.
func (c *Conn) OnLoop() bool { return c.opened() }

// ReadBriefly sets for how long connections are read without a loop.
func (c *Config) ReadBriefly(d time.Duration) { c.briefly = d }

// Early is how many arrivals wait for their hellos on the crew.
func (s *Server) Early() int64 { return s.front.early.Load() }

// WaitToCompute is how many handshakes wait for their turn with a processor.
func (s *Server) WaitToCompute() (n int) {
	c := s.front.computing
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.waiting {
		n += len(of)
	}
	return n
}

// RestAfter sets for how long the goroutines of handshakes wait for work.
func (s *Server) RestAfter(d time.Duration) {
	c := s.front.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	c.within = d
}

// ComputeAtATime has so many handshakes use a processor at a time. None has begun yet.
func (s *Server) ComputeAtATime(n int) {
	c := s.front.computing
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = n
}

// GiveWayAfter sets how long a handshake may wait for its client where another needs its place.
func (s *Server) GiveWayAfter(d time.Duration) {
	g := s.front.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue.patience = d
	if g.timer != nil && g.timer.Stop() {
		g.timer = nil
	}
	g.grant()
}
