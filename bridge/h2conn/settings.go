package h2conn

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
)

// What RFC 9113, 6.5.2 and 6.9, says until SETTINGS say otherwise.
const (
	defaultWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
	minMaxFrame   = 1 << 14
	maxMaxFrame   = 1<<24 - 1
)

// maxReadFrame is the largest payload the server may send. It is the least that
// can be asked for, and plenty for small responses.
const maxReadFrame = minMaxFrame

// settings are what the server allows us. They change while requests run.
type settings struct {
	greeted       bool // its first SETTINGS have come
	acknowledged  bool // it has taken ours
	maxStreams    uint32
	initialWindow int64
	maxFrame      int
	maxHeaderList uint32
}

func initialSettings() settings {
	return settings{
		maxStreams: math.MaxUint32, initialWindow: defaultWindow, maxFrame: minMaxFrame, maxHeaderList: math.MaxUint32,
	}
}

// appendGreeting is the client's connection preface (RFC 9113, 3.4). The header
// table of size 0 makes every response readable without the ones before it, if
// the server keeps to it.
func (m *machine) appendGreeting() {
	m.out = append(m.out, http2.ClientPreface...)
	ours := []http2.Setting{
		{ID: http2.SettingHeaderTableSize, Val: 0},
		{ID: http2.SettingEnablePush, Val: 0},
		{ID: http2.SettingInitialWindowSize, Val: uint32(m.cfg.streamWindow())},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(m.cfg.ResponseHeaderBytes)},
	}
	m.out = appendFrame(m.out, 6*len(ours), http2.FrameSettings, 0, 0)
	for _, s := range ours {
		m.out = binary.BigEndian.AppendUint16(m.out, uint16(s.ID))
		m.out = binary.BigEndian.AppendUint32(m.out, s.Val)
	}
	if more := m.cfg.ReceiveWindow - defaultWindow; more > 0 {
		m.appendWindowUpdate(0, more)
	}
}

func (m *machine) takeSettings(fh http2.FrameHeader, p []byte) *violation {
	if fh.StreamID != 0 {
		return breach(http2.ErrCodeProtocol, "SETTINGS on stream %d", fh.StreamID)
	}
	if fh.Flags.Has(http2.FlagSettingsAck) {
		if len(p) != 0 {
			return breach(http2.ErrCodeFrameSize, "acknowledgement of SETTINGS with %d bytes", len(p))
		}
		m.peer.acknowledged = true
		m.openIfSettled()
		return nil
	}
	if len(p)%6 != 0 {
		return breach(http2.ErrCodeFrameSize, "SETTINGS of %d bytes", len(p))
	}
	// The acknowledgement goes out before anything that follows the new values.
	m.appendControl(http2.FrameSettings, http2.FlagSettingsAck, 0)
	for ; len(p) > 0; p = p[6:] {
		id, v := http2.SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])
		if err := m.takeSetting(id, v); err != nil {
			return err
		}
	}
	m.pump()
	m.peer.greeted = true
	m.openIfSettled()
	return nil
}

func (m *machine) takeSetting(id http2.SettingID, v uint32) *violation {
	switch id {
	case http2.SettingHeaderTableSize:
		m.encoder.resize(v)
	case http2.SettingEnablePush:
		if v != 0 {
			return breach(http2.ErrCodeProtocol, "SETTINGS_ENABLE_PUSH %d from a server", v)
		}
	case http2.SettingMaxConcurrentStreams:
		if v < m.peer.maxStreams {
			m.lowered = m.next
		}
		m.peer.maxStreams = v
	case http2.SettingInitialWindowSize:
		if v > maxWindow {
			return breach(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE %d", v)
		}
		return m.shiftWindows(int64(v))
	case http2.SettingMaxFrameSize:
		if v < minMaxFrame || v > maxMaxFrame {
			return breach(http2.ErrCodeProtocol, "SETTINGS_MAX_FRAME_SIZE %d", v)
		}
		m.peer.maxFrame = int(v)
	case http2.SettingMaxHeaderListSize:
		m.peer.maxHeaderList = v
	}
	return nil
}

// openIfSettled opens the connection when both sides know each other's
// settings. Before that a response might still use a header table, and the
// stream limit is unknown.
func (m *machine) openIfSettled() {
	if m.state == Opening && m.peer.greeted && m.peer.acknowledged {
		m.state = Open
	}
}
