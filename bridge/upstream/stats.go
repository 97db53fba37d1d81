package upstream

import (
	"errors"

	"apnsbridge/bridge/h2conn"
)

// Stats are the figures of the connections to APNs of one Upstream, or of several
// added up.
type Stats struct {
	Connections int // in use, against Limits.Connections
	Streams     int // that may be open on these now, as APNs and Limits.Streams have it
	Dialling    int // until APNs' SETTINGS are known
	Leaving     int // no longer used, with requests under way
	InFlight    int // requests on connections, against Limits.Streams for each
	Queued      int // notifications without a place on a connection

	Dials        uint64 // connections tried
	DialFailures uint64 // of those, in vain
	GoAways      uint64 // connections that APNs has ended in order
	Lost         uint64 // connections that ended otherwise: reset, silent, or in breach of HTTP/2
	Rotations    uint64 // connections left for their age

	Answered   uint64 // requests that APNs has answered
	Unsent     uint64 // requests that APNs has not looked at, and so were repeated
	Unanswered uint64 // requests whose connection or stream was lost
	TimedOut   uint64 // requests without an answer in time
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Connections += o.Connections
	s.Streams += o.Streams
	s.Dialling += o.Dialling
	s.Leaving += o.Leaving
	s.InFlight += o.InFlight
	s.Queued += o.Queued
	s.Dials += o.Dials
	s.DialFailures += o.DialFailures
	s.GoAways += o.GoAways
	s.Lost += o.Lost
	s.Rotations += o.Rotations
	s.Answered += o.Answered
	s.Unsent += o.Unsent
	s.Unanswered += o.Unanswered
	s.TimedOut += o.TimedOut
}

// counts are an Upstream's counters.
type counts struct {
	inFlight                                      int
	dials, dialFailures, goAways, lost, rotations uint64
	fates                                         [h2conn.Malformed + 1]uint64
}

// ended counts a connection that the server has ended.
func (c *counts) ended(reason error) {
	var away *h2conn.GoAway
	if errors.As(reason, &away) {
		c.goAways++
	} else {
		c.lost++
	}
}

// end counts requests that have ended.
func (c *counts) end(fates [h2conn.Malformed + 1]uint64) {
	for fate, n := range fates {
		c.fates[fate] += n
		c.inFlight -= int(n)
	}
}

// Stats gives the present figures.
func (u *Upstream) Stats() Stats {
	st, conns := u.figures()
	for _, conn := range conns {
		st.Streams += conn.Stats().Limit
	}
	return st
}

// figures are the upstream's own, with the connections in use.
func (u *Upstream) figures() (Stats, []*h2conn.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	conns := make([]*h2conn.Conn, len(u.inUse))
	for i, c := range u.inUse {
		conns[i] = c.conn
	}
	c := &u.counts
	st := Stats{
		Connections: len(u.inUse), InFlight: c.inFlight, Queued: u.queue.size + u.fresh.size,
		Dials: c.dials, DialFailures: c.dialFailures, GoAways: c.goAways, Lost: c.lost, Rotations: c.rotations,
		Answered:   c.fates[h2conn.Answered] + c.fates[h2conn.Malformed],
		Unsent:     c.fates[h2conn.Unprocessed],
		Unanswered: c.fates[h2conn.Unanswered] + c.fates[h2conn.Canceled],
		TimedOut:   c.fates[h2conn.TimedOut],
	}
	for _, conn := range u.all {
		switch conn.state {
		case connecting:
			st.Dialling++
		case draining:
			st.Leaving++
		}
	}
	return st, conns
}
