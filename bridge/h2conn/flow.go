package h2conn

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// flow is the connection's part of flow control (RFC 9113, 5.2). Each slot has
// its stream's part.
type flow struct {
	window int64    // bytes of bodies the server allows
	queue  []uint32 // streams that may send but for the connection's window or our buffer
	credit int64    // bytes the server may send
}

// sendBody writes as much of the body as the windows and the buffer take. The
// rest goes when they open.
func (m *machine) sendBody(s *slot) {
	body := s.req.Body
	for s.sent < len(body) {
		n := min(int64(len(body)-s.sent), s.window, m.flow.window, int64(m.peer.maxFrame))
		if n <= 0 || len(m.out) >= m.cfg.WriteBytes {
			break
		}
		end := s.sent + int(n)
		var flags http2.Flags
		if end == len(body) {
			flags = http2.FlagDataEndStream
		}
		m.out = appendFrame(m.out, int(n), http2.FrameData, flags, s.id)
		m.out = append(m.out, body[s.sent:end]...)
		s.sent = end
		s.window -= n
		m.flow.window -= n
	}
	if s.sent == len(body) {
		s.whole = m.handed + uint64(len(m.out))
	}
	m.enqueue(s)
}

// enqueue puts a stream in line that only the connection holds back. One held
// back by its own window comes when that opens.
func (m *machine) enqueue(s *slot) {
	if s.sent < len(s.req.Body) && s.window > 0 && !s.queued {
		s.queued = true
		m.flow.queue = append(m.flow.queue, s.id)
	}
}

// pump sends what waits in line.
func (m *machine) pump() {
	for len(m.flow.queue) > 0 && m.flow.window > 0 && len(m.out) < m.cfg.WriteBytes {
		s := m.find(m.flow.queue[0])
		m.flow.queue = m.flow.queue[1:]
		if s != nil {
			s.queued = false
			m.sendBody(s)
		}
	}
	if len(m.flow.queue) == 0 {
		m.flow.queue = m.flow.queue[:0]
	}
}

func (m *machine) takeWindowUpdate(fh http2.FrameHeader, p []byte) *violation {
	if len(p) != 4 {
		return breach(http2.ErrCodeFrameSize, "WINDOW_UPDATE of %d bytes", len(p))
	}
	more := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if fh.StreamID == 0 {
		if more == 0 {
			return breach(http2.ErrCodeProtocol, "WINDOW_UPDATE of 0")
		}
		m.refill.barren = 0
		if m.flow.window += more; m.flow.window > maxWindow {
			return breach(http2.ErrCodeFlowControl, "window of the connection is %d", m.flow.window)
		}
		m.pump()
		return nil
	}
	s, err := m.stream(fh)
	if s == nil || err != nil {
		return err
	}
	if more == 0 {
		m.malformed(s, http2.ErrCodeProtocol, "WINDOW_UPDATE of 0")
		return nil
	}
	if s.window += more; s.window > maxWindow {
		m.malformed(s, http2.ErrCodeFlowControl, "window over 2^31-1")
		return nil
	}
	m.enqueue(s)
	m.pump()
	return nil
}

// shiftWindows follows SETTINGS_INITIAL_WINDOW_SIZE: open streams move by the
// difference, even below zero (RFC 9113, 6.9.2).
func (m *machine) shiftWindows(initial int64) *violation {
	by := initial - m.peer.initialWindow
	m.peer.initialWindow = initial
	var err *violation
	m.all(func(s *slot) {
		if s.window += by; s.window > maxWindow {
			err = breach(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE %d brings the window of stream %d to %d",
				initial, s.id, s.window)
		}
		m.enqueue(s)
	})
	return err
}

// receive counts a DATA frame against the connection, and gives the window back
// in large pieces: bodies are bounded one by one.
func (m *machine) receive(n int) *violation {
	if m.flow.credit -= int64(n); m.flow.credit < 0 {
		return breach(http2.ErrCodeFlowControl, "DATA over the connection's window")
	}
	if used := int64(m.cfg.ReceiveWindow) - m.flow.credit; used >= int64(m.cfg.ReceiveWindow)/2 {
		m.appendWindowUpdate(0, int(used))
		m.flow.credit += used
	}
	return nil
}
