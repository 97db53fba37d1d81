package gateway

import "time"

// MoveAway has all providers be so far away, there and back.
func (s *Server) MoveAway(trip time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roundTrip = func(int) (time.Duration, bool) { return trip, true }
}

// OnLoop reports whether a loop has the connection.
func (c *Conn) OnLoop() bool { return c.opened() }

// ReadBriefly has connections wait for a loop for so long.
func (c *Config) ReadBriefly(d time.Duration) { c.briefly = d }
