package gateway

import (
	"sync/atomic"

	"apnsbridge/binproto"
)

// PortStats are the figures of one port. Those up to AwaitingHello are the present state,
// most of them under a bound of Limits; the others count from the start.
type PortStats struct {
	Connections                int // accepted and not yet closed
	ConnectionsOfBusiest       int // of the address that has most
	ConnectionsOfBusiestClient int // of the client that has most
	ConnectionsOfBusiestApp    int // of the app that has most
	HelloBytes                 int // of hellos longer than 512 bytes; Connections x 512 at most
	Handshakes                 int // running
	HandshakesOfBusiest        int // of the address that has most
	HandshakesWaiting          int // for their turn, with a complete ClientHello
	AddressesPaced             int // addresses whose rate of handshakes is known; Connections at most
	AwaitingHello              int // connections that were accepted, and whose hello is not complete
	Accepted                   uint64
	AcceptErrors               uint64 // mostly because no descriptor was left
	OverLimit                  uint64 // closed at once: Connections
	OverLimitPerAddress        uint64 // closed, or a handshake of the same address instead: ConnectionsPerAddress
	OverLimitPerClient         uint64 // refused: ConnectionsPerClient
	HandshakesDone             uint64
	HandshakesFailed           uint64 // not TLS, no common version or cipher, or gone halfway
	HandshakesTimedOut         uint64
	HandshakesDropped          uint64 // ended when others needed their place
	OverShare                  uint64 // connections ended for an app that had less than AppConnectionsShare
	HandshakesDelayed          uint64 // by HandshakeRatePerAddress
	HandshakesOverRate         uint64 // closed at once: HandshakeRatePerAddress
	Refused                    uint64 // by Admit
	ResumedTLS                 uint64 // of HandshakesDone
	Terminated                 uint64 // admitted without a handshake: Port.Terminated
	Proxied                    uint64 // whose address came in a PROXY header
	BadProxyHeaders            uint64 // of HandshakesFailed: a PROXY header was due, and was missing or broken
	OlderThanTLS               uint64 // of HandshakesFailed: SSLv3, or a hello in SSLv2's form
	Mistrusted                 uint64 // of HandshakesFailed: the client does not trust our certificate, and says so
	WithoutTLS                 uint64 // of HandshakesFailed: frames, HTTP or anything else that is not TLS

	Open     map[uint16]int    // connections of admitted clients, by their TLS version; 0: without TLS
	Admitted map[uint16]uint64 // since the start
}

// Stats are the figures of a Server.
type Stats struct {
	PortStats

	Parked        int   // not read: their sessions have no room
	HalfClosed    int   // the provider has ended its side, ours waits for verdicts
	Lingering     int   // we have ended our side, the provider has not
	UnparsedBytes int64 // of all connections

	BytesIn      uint64 // TLS records
	Frames       uint64 // given to sessions
	Rejected     uint64 // of Frames: refused at parsing
	LargeFrames  uint64
	CutFrames    uint64 // incomplete when the provider ended its side, or the connection broke
	Parks        uint64
	Packets      uint64 // error responses written
	Resets       uint64 // connections that the provider or the network broke
	ResetsUnread uint64 // of Resets: those before a single frame came; what was written is lost
	CutOff       uint64 // connections that Close ended before their providers had
	LingerEnded  uint64 // silent for too long after we had ended our side
	Violations   ViolationStats
}

// ViolationStats counts the streams that could not be read further.
type ViolationStats struct {
	UnknownCommand uint64
	ItemOverrun    uint64
	FrameTooLong   uint64
}

// portCounters are the parts of PortStats that only grow, and gauges without a
// lock of their own.
type portCounters struct {
	awaitingHello                            atomic.Int64
	accepted, acceptErrors                   atomic.Uint64
	overLimit, overLimitPerAddress           atomic.Uint64
	overLimitPerClient, overShare            atomic.Uint64
	proxied, badProxyHeaders                 atomic.Uint64
	done, failed, timedOut, dropped, refused atomic.Uint64
	resumed, terminated                      atomic.Uint64
	olderThanTLS, withoutTLS, overRate       atomic.Uint64
	mistrusted                               atomic.Uint64
}

func (c *portCounters) admitted(h *Hello) {
	if h.Terminated {
		c.terminated.Add(1)
		return
	}
	c.done.Add(1)
	if h.Resumed {
		c.resumed.Add(1)
	}
}

func (c *portCounters) spoke(l language) {
	switch l {
	case speaksSSLv2, speaksSSLv3:
		c.olderThanTLS.Add(1)
	case speaksFrames, speaksHTTP, speaksProxy, speaksElse:
		c.withoutTLS.Add(1)
	}
}

type counters struct {
	parked, halfClosed, unparsed                 atomic.Int64
	bytesIn, frames, rejected, large, cut, parks atomic.Uint64
	packets, resets, resetsUnread                atomic.Uint64
	cutOff, lingerEnded                          atomic.Uint64
	unknownCommand, itemOverrun, frameTooLong    atomic.Uint64
}

func (c *counters) violation(v binproto.Violation) {
	switch v {
	case binproto.UnknownCommand:
		c.unknownCommand.Add(1)
	case binproto.ItemOverrun:
		c.itemOverrun.Add(1)
	case binproto.FrameTooLong:
		c.frameTooLong.Add(1)
	}
}

// Stats returns the figures as they are now.
func (s *Server) Stats() Stats {
	c := &s.counters
	s.mu.Lock()
	lingering := len(s.lingering)
	s.mu.Unlock()
	return Stats{
		PortStats:     s.front.stats(),
		Parked:        int(c.parked.Load()),
		HalfClosed:    int(c.halfClosed.Load()),
		Lingering:     lingering,
		UnparsedBytes: c.unparsed.Load(),
		BytesIn:       c.bytesIn.Load(),
		Frames:        c.frames.Load(),
		Rejected:      c.rejected.Load(),
		LargeFrames:   c.large.Load(),
		CutFrames:     c.cut.Load(),
		Parks:         c.parks.Load(),
		Packets:       c.packets.Load(),
		Resets:        c.resets.Load(),
		ResetsUnread:  c.resetsUnread.Load(),
		CutOff:        c.cutOff.Load(),
		LingerEnded:   c.lingerEnded.Load(),
		Violations: ViolationStats{
			UnknownCommand: c.unknownCommand.Load(),
			ItemOverrun:    c.itemOverrun.Load(),
			FrameTooLong:   c.frameTooLong.Load(),
		},
	}
}

func (f *front) stats() PortStats {
	c := &f.counters
	p := PortStats{
		AwaitingHello:       int(c.awaitingHello.Load()),
		HelloBytes:          int(f.hellos.Load()),
		Accepted:            c.accepted.Load(),
		AcceptErrors:        c.acceptErrors.Load(),
		OverLimit:           c.overLimit.Load(),
		OverLimitPerAddress: c.overLimitPerAddress.Load(),
		OverLimitPerClient:  c.overLimitPerClient.Load(),
		HandshakesDone:      c.done.Load(),
		HandshakesFailed:    c.failed.Load(),
		HandshakesTimedOut:  c.timedOut.Load(),
		HandshakesDropped:   c.dropped.Load(),
		HandshakesOverRate:  c.overRate.Load(),
		OverShare:           c.overShare.Load(),
		Refused:             c.refused.Load(),
		ResumedTLS:          c.resumed.Load(),
		Terminated:          c.terminated.Load(),
		Proxied:             c.proxied.Load(),
		BadProxyHeaders:     c.badProxyHeaders.Load(),
		OlderThanTLS:        c.olderThanTLS.Load(),
		Mistrusted:          c.mistrusted.Load(),
		WithoutTLS:          c.withoutTLS.Load(),
	}
	f.census.figures(&p)
	f.gate.figures(&p)
	return p
}
