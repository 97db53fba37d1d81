package apnssim

import "sync/atomic"

// Stats are the simulator's counters. Received, Accepted, Rejected, Duplicates,
// Kept and Forgotten begin anew with Reset.
type Stats struct {
	Received   int `json:"received"`   // pushes that got a verdict
	Accepted   int `json:"accepted"`   // of them with 200
	Rejected   int `json:"rejected"`   // of them with another status
	Duplicates int `json:"duplicates"` // of the accepted: accepted before with the same topic, token and payload
	Kept       int `json:"kept"`       // pushes that GET /received can give
	Forgotten  int `json:"forgotten"`  // pushes that had to make room for later ones

	Connections     int `json:"connections"`      // with a finished TLS handshake, ever
	OpenConnections int `json:"open_connections"` // of them open now
	PeakConnections int `json:"peak_connections"` // of them open at once, at most
	Turned          int `json:"turned_away"`      // connections refused, or ended within the handshake

	Streams     int `json:"streams"`      // open now
	PeakStreams int `json:"peak_streams"` // open at once on one connection, at most
	Refused     int `json:"refused"`      // streams above the limit, answered with REFUSED_STREAM
	OverLimit   int `json:"over_limit"`   // of them above a limit that the client had acknowledged: its mistake
	Resets      int `json:"resets"`       // streams reset by the scenario
	GoAways     int `json:"goaways"`      // GOAWAY frames sent by the scenario
	Violations  int `json:"violations"`   // connections ended for an error in the client's HTTP/2
}

// counts are the figures of Stats that concern the wire.
type counts struct {
	connections, openConnections, peakConnections, turned     atomic.Int64
	streams, peakStreams, refused, overLimit, resets, goAways atomic.Int64
	violations                                                atomic.Int64
}

func (c *counts) stats() Stats {
	return Stats{
		Connections:     int(c.connections.Load()),
		OpenConnections: int(c.openConnections.Load()),
		PeakConnections: int(c.peakConnections.Load()),
		Turned:          int(c.turned.Load()),
		Streams:         int(c.streams.Load()),
		PeakStreams:     int(c.peakStreams.Load()),
		Refused:         int(c.refused.Load()),
		OverLimit:       int(c.overLimit.Load()),
		Resets:          int(c.resets.Load()),
		GoAways:         int(c.goAways.Load()),
		Violations:      int(c.violations.Load()),
	}
}

// raise lifts peak to n if it is lower.
func raise(peak *atomic.Int64, n int64) {
	for {
		old := peak.Load()
		if n <= old || peak.CompareAndSwap(old, n) {
			return
		}
	}
}
