package endtoend

import (
	"crypto/tls"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

// Over TLS 1.0 with CBC no error packet is written, neither for a bad token nor for a
// malformed frame. What stands behind is delivered over the same connection, and the
// token goes to the feedback list.
func TestOldTLSGetsNoPacket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("key: server-key.pem", `key: server-key.pem, min_version: "1.0"`)
	w.Start()
	config := w.ClientTLS()
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	conn := w.Dial(config)
	list := goer{frames: 9, bad: func(i int) bool { return i%3 == 1 }}
	var frames []byte
	for i := range list.frames {
		n := list.note(0, i)
		frames = n.Append(frames)
		if i == 5 {
			empty := binproto.Notification{Command: binproto.Enhanced, HasIdentifier: true, Identifier: 99}
			frames = empty.Append(frames)
		}
	}
	if _, err := conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	newFates(w).settle(t, list, 0)
	w.Stop() // there is no packet then either
	if got, err := conn.ReadResponse(); err == nil {
		t.Errorf("got the packet %v", got)
	}
}
