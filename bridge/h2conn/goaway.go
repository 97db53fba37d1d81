package h2conn

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
)

// maxDebugData is how much of a server's last words is kept, in bytes.
const maxDebugData = 1 << 10

// takeGoAway stops new streams and gives back those that the server promises
// not to have processed. A server may send several: first the highest identifier
// as a warning, then the real one (RFC 9113, 6.8).
func (m *machine) takeGoAway(fh http2.FrameHeader, p []byte) *violation {
	if fh.StreamID != 0 {
		return breach(http2.ErrCodeProtocol, "GOAWAY on stream %d", fh.StreamID)
	}
	if len(p) < 8 {
		return breach(http2.ErrCodeFrameSize, "GOAWAY of %d bytes", len(p))
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	debug := p[8:min(len(p), 8+maxDebugData)]
	g := &GoAway{last, http2.ErrCode(binary.BigEndian.Uint32(p[4:])), string(debug)}
	if m.goAway != nil && m.goAway.Code != http2.ErrCodeNo && g.Code == http2.ErrCodeNo {
		// What went wrong stays the reason; only the last stream is news.
		g.Code, g.Debug = m.goAway.Code, m.goAway.Debug
	}
	m.goAway = g
	m.stats.GoAways++
	m.drain(g)
	m.all(func(s *slot) {
		if s.id > last {
			m.disown(s, g)
		}
	})
	return nil
}

// drain stops new streams. The connection ends with its last one.
func (m *machine) drain(reason error) {
	if m.state == Closed {
		return
	}
	m.state = Draining
	m.reason = reason
}

func (m *machine) drained() bool { return m.state == Draining && m.open == 0 }

// end completes every open request, drops what was not yet handed to the
// network, and leaves a GOAWAY to be written. It reports whether the connection was
// still alive.
func (m *machine) end(code http2.ErrCode, reason error) bool {
	if m.state == Closed {
		return false
	}
	if m.goAway != nil && reason != error(m.goAway) {
		reason = fmt.Errorf("%w; then: %w", m.goAway, reason)
	}
	m.state, m.reason = Closed, reason
	if m.open > 0 {
		// A request in the buffer must not leave any more: it is about to be
		// called Unprocessed.
		m.out = m.out[:0]
	}
	m.all(func(s *slot) {
		if m.left(s) {
			m.finish(s, Unanswered, reason)
		} else {
			m.disown(s, reason)
		}
	})
	m.appendGoAway(code)
	return true
}
