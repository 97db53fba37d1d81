package bridge

import "apnsbridge/bridge/h2conn"

// PoolStats are the figures of an app's connections to APNs, in both
// environments and with those that were before a reload.
type PoolStats struct {
	Connections int // in use, against Limits.Connections for an environment
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

func (s *PoolStats) add(o PoolStats) {
	s.Connections += o.Connections
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

// poolCounts are a pool's counters.
type poolCounts struct {
	inFlight                                      int
	dials, dialFailures, goAways, lost, rotations uint64
	fates                                         [h2conn.Malformed + 1]uint64
}

// end counts requests that have ended.
func (c *poolCounts) end(fates [h2conn.Malformed + 1]uint64) {
	for fate, n := range fates {
		c.fates[fate] += n
		c.inFlight -= int(n)
	}
}

func (p *pool) stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.counts
	st := PoolStats{
		Connections: len(p.inUse), InFlight: c.inFlight, Queued: p.queue.size,
		Dials: c.dials, DialFailures: c.dialFailures, GoAways: c.goAways, Lost: c.lost, Rotations: c.rotations,
		Answered:   c.fates[h2conn.Answered] + c.fates[h2conn.Malformed],
		Unsent:     c.fates[h2conn.Unprocessed],
		Unanswered: c.fates[h2conn.Unanswered] + c.fates[h2conn.Canceled],
		TimedOut:   c.fates[h2conn.TimedOut],
	}
	for _, conn := range p.all {
		switch conn.stage {
		case dialling:
			st.Dialling++
		case leaving:
			st.Leaving++
		}
	}
	return st
}
