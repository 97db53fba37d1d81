package apnssim

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Whatever comes behind the preface, the simulator neither crashes nor stops
// serving others, and ends the connection once the client has ended its side.
func FuzzFrames(f *testing.F) {
	seed := func(write func(*http2.Framer)) {
		var b bytes.Buffer
		framer := http2.NewFramer(&b, nil)
		framer.AllowIllegalWrites = true
		write(framer)
		f.Add(b.Bytes())
	}
	post := []byte{0x83, 0x84, 0x87} // :method POST, :path /, :scheme https
	seed(func(w *http2.Framer) {
		w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		w.WriteSettingsAck()
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post, EndHeaders: true})
		w.WriteData(1, true, []byte("{}"))
		w.WriteWindowUpdate(1, 1000)
	})
	seed(func(w *http2.Framer) {
		w.WriteSettings()
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post[:1], PadLength: 3})
		w.WriteContinuation(1, true, post[1:])
		w.WriteDataPadded(1, false, []byte("{"), []byte{0})
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true})
		w.WriteRSTStream(1, http2.ErrCodeCancel)
		w.WritePing(false, [8]byte{})
		w.WriteGoAway(1, http2.ErrCodeNo, nil)
		w.WriteWindowUpdate(0, 1<<31-1)
		w.WriteRawFrame(0xbe, 0xff, 9, []byte("unknown"))
	})
	seed(func(w *http2.Framer) {
		w.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})
		w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: post, EndHeaders: true})
	})
	body := "slow"
	sim := start(f, Scenario{
		Throttle:             &Throttle{},
		MaxConcurrentStreams: 3,
		Windows:              Windows{Stream: 5, Return: 0.1},
		Reasons:              []Rule{{Probability: 0.5, Reason: BadTopic, Body: &body}},
		SlowBody:             &SlowBody{},
		Resets:               &Resets{Probability: 0.2},
		GoAway:               &GoAway{After: 5},
	})
	// Resumption spares the RSA signature of a full handshake.
	config := &tls.Config{RootCAs: pki().Pool(), NextProtos: []string{"h2"},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn, err := tls.Dial("tcp", sim.Addr(), config)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		heard := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, conn)
			heard <- err
		}()
		// A write fails when the simulator has ended the connection before.
		if _, err := conn.Write(append([]byte(http2.ClientPreface), frames...)); err == nil {
			conn.CloseWrite()
		}
		<-heard
		conn.Close()
		wait(t, sim, func(s Stats) bool { return s.OpenConnections == 0 })
		if s := sim.Stats(); s.Streams != 0 {
			t.Errorf("%d streams are left after %x", s.Streams, frames)
		}
	})
}
