package h2conn

import "golang.org/x/net/http2"

// health asks a silent server for a sign of life (RFC 9113, 6.7). Anything that
// is heard counts, not only the answer. A server that talks but does not read is
// of no use either.
type health struct {
	opened int64 // when the connection was made
	write  int64 // when the write began that is under way, 0 if none is
	asked  int64 // when PING was sent, 0 if none is out
	rtt    int64 // of the last PING that was answered, 0 if there was none
	serial uint64
}

// checkHealth is given the time of the last bytes from the server. It returns
// when it wants to be asked again, or the error that ends the connection.
func (m *machine) checkHealth(now, heard int64) (next int64, err error) {
	if m.state == Opening {
		if end := m.health.opened + int64(m.cfg.OpenTimeout); now < end {
			return end, nil
		}
		return 0, ErrNotReady
	}
	if w := m.health.write; w != 0 && now >= w+int64(m.cfg.PingAfter+m.cfg.PingTimeout) {
		return 0, ErrStuck
	}
	if m.health.asked != 0 && heard > m.health.asked {
		m.health.asked = 0
	}
	if m.health.asked != 0 {
		if end := m.health.asked + int64(m.cfg.PingTimeout); now < end {
			return end, nil
		}
		return 0, ErrSilent
	}
	if due := heard + int64(m.cfg.PingAfter); now < due {
		return due, nil
	}
	m.health.asked = now
	m.health.serial++
	m.appendPing(false, pingData(m.health.serial))
	m.stats.Pings++
	return now + int64(m.cfg.PingTimeout), nil
}

func (m *machine) takePing(fh http2.FrameHeader, p []byte, now int64) *violation {
	if fh.StreamID != 0 {
		return breach(http2.ErrCodeProtocol, "PING on stream %d", fh.StreamID)
	}
	if len(p) != 8 {
		return breach(http2.ErrCodeFrameSize, "PING of %d bytes", len(p))
	}
	data := [8]byte(p)
	switch {
	case !fh.Flags.Has(http2.FlagPingAck):
		m.appendPing(true, data)
	case m.health.asked != 0 && data == pingData(m.health.serial):
		m.health.rtt = max(1, now-m.health.asked)
	}
	return nil
}

func pingData(serial uint64) (d [8]byte) {
	for i := range d {
		d[i] = byte(serial >> (56 - 8*i))
	}
	return d
}
