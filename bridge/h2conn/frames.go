package h2conn

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const frameHeader = 9

func appendFrame(b []byte, length int, t http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// appendControl writes a frame that the server may have provoked. Such frames
// are counted: a server that asks and never reads must not fill the memory.
func (m *machine) appendControl(t http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	m.out = appendFrame(m.out, len(payload), t, flags, id)
	m.out = append(m.out, payload...)
	m.control += frameHeader + len(payload)
}

func (m *machine) appendPing(ack bool, data [8]byte) {
	var flags http2.Flags
	if ack {
		flags = http2.FlagPingAck
	}
	m.appendControl(http2.FramePing, flags, 0, data[:]...)
}

func (m *machine) appendReset(id uint32, code http2.ErrCode) {
	m.appendControl(http2.FrameRSTStream, 0, id, byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
}

func (m *machine) appendWindowUpdate(id uint32, more int) {
	m.appendControl(http2.FrameWindowUpdate, 0, id, byte(more>>24), byte(more>>16), byte(more>>8), byte(more))
}

// appendGoAway names stream 0 as the last: a server opens none.
func (m *machine) appendGoAway(code http2.ErrCode) {
	m.appendControl(http2.FrameGoAway, 0, 0, 0, 0, 0, 0, byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
}

// take is given every frame. An error ends the connection. The payload is not
// kept. Order of HEADERS and CONTINUATION and the size of frames were checked
// by http2.Framer.
func (m *machine) take(fh http2.FrameHeader, p []byte, now int64) *violation {
	greeting := fh.Type == http2.FrameSettings && !fh.Flags.Has(http2.FlagSettingsAck)
	if !m.peer.greeted && !greeting && fh.Type != http2.FrameGoAway { // its reason is worth more than the rule
		return breach(http2.ErrCodeProtocol, "%v before the first SETTINGS", fh.Type)
	}
	var err *violation
	switch fh.Type {
	case http2.FrameHeaders:
		err = m.takeHeaders(fh, p)
	case http2.FrameContinuation:
		err = m.takeContinuation(fh, p)
	case http2.FrameData:
		err = m.takeData(fh, p)
	case http2.FrameRSTStream:
		err = m.takeReset(fh, p)
	case http2.FrameWindowUpdate:
		err = m.takeWindowUpdate(fh, p)
	case http2.FrameSettings:
		err = m.takeSettings(fh, p)
	case http2.FramePing:
		err = m.takePing(fh, p, now)
	case http2.FrameGoAway:
		err = m.takeGoAway(fh, p)
	case http2.FramePushPromise:
		err = breach(http2.ErrCodeProtocol, "PUSH_PROMISE although push is off")
	}
	if err == nil && m.control > m.cfg.ControlBytes {
		err = breach(http2.ErrCodeEnhanceYourCalm, "%d bytes of answers that it does not read", m.control)
	}
	return err
}

func (m *machine) takeReset(fh http2.FrameHeader, p []byte) *violation {
	if len(p) != 4 {
		return breach(http2.ErrCodeFrameSize, "RST_STREAM of %d bytes", len(p))
	}
	s, err := m.stream(fh)
	if s == nil || err != nil {
		return err
	}
	reset := http2.StreamError{StreamID: s.id, Code: http2.ErrCode(binary.BigEndian.Uint32(p))}
	switch {
	case reset.Code == http2.ErrCodeRefusedStream:
		m.stats.Refused++
		if s.id < m.lowered {
			m.disown(s, ErrLowered)
		} else {
			m.disown(s, reset)
		}
	case !m.left(s): // whatever the code, there was no whole request to act on
		m.disown(s, reset)
	default:
		m.finish(s, Unanswered, reset)
	}
	return nil
}

func (m *machine) takeData(fh http2.FrameHeader, p []byte) *violation {
	s, err := m.stream(fh)
	if err != nil {
		return err
	}
	if err := m.receive(len(p)); err != nil {
		return err
	}
	data, ok := unpad(fh, p)
	if !ok {
		return breach(http2.ErrCodeProtocol, "DATA with more padding than payload")
	}
	if s == nil {
		return nil
	}
	end := fh.Flags.Has(http2.FlagDataEndStream)
	if s.credit -= int64(len(p)); s.credit < 0 {
		m.malformed(s, http2.ErrCodeFlowControl, "DATA over the stream's window")
		return nil
	}
	if s.padding += int32(len(p) - len(data)); s.padding >= maxPadding && !end {
		// The window bounds the body. Padding must not use it up.
		s.credit += int64(s.padding)
		m.appendWindowUpdate(s.id, int(s.padding))
		s.padding = 0
	}
	if !s.headed {
		m.malformed(s, http2.ErrCodeProtocol, "DATA before HEADERS")
		return nil
	}
	if len(s.resp.Body)+len(data) > m.cfg.ResponseBytes {
		m.malformed(s, http2.ErrCodeCancel, "body over the bound")
		return nil
	}
	s.resp.Body = append(s.resp.Body, data...)
	if end {
		m.answered(s)
	}
	return nil
}

// maxPadding is how much padding of a stream is not given back, in bytes: less than the window
// has beyond the bound of a body. An answer to each frame would look like a flood.
const maxPadding = maxReadFrame / 2

// unpad strips the padding of a DATA or HEADERS frame (RFC 9113, 6.1).
func unpad(fh http2.FrameHeader, p []byte) ([]byte, bool) {
	if !fh.Flags.Has(http2.FlagDataPadded) {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}
