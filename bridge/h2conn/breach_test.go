package h2conn

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// TestBreaches has the breaches of HTTP/2 that end a connection, each with the error code that the server gets.
func TestBreaches(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(w *wire)
		code string
	}{
		{"push", func(w *wire) {
			w.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block(":method=GET"),
				EndHeaders: true})
		}, "PROTOCOL_ERROR"},
		{"push allowed by the server", func(w *wire) { w.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}) }, "PROTOCOL_ERROR"},
		{"HEADERS on stream 0", func(w *wire) { w.headers(0, ":status=200") }, "PROTOCOL_ERROR"},
		{"HEADERS on a stream of the server", func(w *wire) { w.headers(2, ":status=200") }, "PROTOCOL_ERROR"},
		{"HEADERS on a stream never opened", func(w *wire) { w.headers(5, ":status=200") }, "PROTOCOL_ERROR"},
		{"DATA on a stream never opened", func(w *wire) { w.fr.WriteData(99, true, nil) }, "PROTOCOL_ERROR"},
		{"RST_STREAM on a stream never opened", func(w *wire) { w.fr.WriteRSTStream(99, 0) }, "PROTOCOL_ERROR"},
		{"RST_STREAM of 3 bytes", func(w *wire) { w.fr.WriteRawFrame(http2.FrameRSTStream, 0, 1, make([]byte, 3)) }, "FRAME_SIZE_ERROR"},
		{"WINDOW_UPDATE on a stream never opened", func(w *wire) { w.fr.WriteWindowUpdate(99, 1) }, "PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of 0", func(w *wire) { w.fr.WriteWindowUpdate(0, 0) }, "PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of 5 bytes", func(w *wire) { w.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 5)) }, "FRAME_SIZE_ERROR"},
		{"window too large", func(w *wire) { w.fr.WriteWindowUpdate(0, 1<<31-1) }, "FLOW_CONTROL_ERROR"},
		{"initial window too large", func(w *wire) { w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, "FLOW_CONTROL_ERROR"},
		{"initial window brings a stream's over the top", func(w *wire) {
			w.fr.WriteWindowUpdate(1, 1<<30)
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		}, "FLOW_CONTROL_ERROR"},
		{"frame size too small", func(w *wire) { w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 100}) }, "PROTOCOL_ERROR"},
		{"frame size too large", func(w *wire) { w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 24}) }, "PROTOCOL_ERROR"},
		{"SETTINGS of 5 bytes", func(w *wire) { w.fr.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }, "FRAME_SIZE_ERROR"},
		{"SETTINGS on a stream", func(w *wire) { w.fr.WriteRawFrame(http2.FrameSettings, 0, 1, nil) }, "PROTOCOL_ERROR"},
		{"acknowledgement with content", func(w *wire) { w.fr.WriteRawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, make([]byte, 6)) }, "FRAME_SIZE_ERROR"},
		{"PING of 7 bytes", func(w *wire) { w.fr.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }, "FRAME_SIZE_ERROR"},
		{"PING on a stream", func(w *wire) { w.fr.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8)) }, "PROTOCOL_ERROR"},
		{"GOAWAY of 7 bytes", func(w *wire) { w.fr.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7)) }, "FRAME_SIZE_ERROR"},
		{"GOAWAY on a stream", func(w *wire) { w.fr.WriteRawFrame(http2.FrameGoAway, 0, 1, make([]byte, 8)) }, "PROTOCOL_ERROR"},
		{"CONTINUATION of nothing", func(w *wire) { w.fr.WriteContinuation(1, true, nil) }, "PROTOCOL_ERROR"},
		{"something inside a head", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=200")})
			w.fr.WritePing(false, [8]byte{})
		}, "PROTOCOL_ERROR"},
		{"a head without end", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=200")})
			for range 4000 {
				if w.fr.WriteContinuation(1, false, nil) != nil {
					break
				}
			}
		}, "ENHANCE_YOUR_CALM"},
		{"frame too large", func(w *wire) { w.fr.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 16385)) }, "FRAME_SIZE_ERROR"},
		{"HTTP/1", func(w *wire) { w.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "FRAME_SIZE_ERROR"},
		{"padding over the payload, DATA", func(w *wire) { w.fr.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{3, 0, 0}) }, "PROTOCOL_ERROR"},
		{"padding over the payload, HEADERS", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, nil)
		}, "PROTOCOL_ERROR"},
		{"priority over the payload", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 1, []byte{1, 2})
		}, "PROTOCOL_ERROR"},
		{"index into the table that is not there", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x88, 0xbe})
		}, "COMPRESSION_ERROR"},
		{"index 0", func(w *wire) { w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x80}) }, "COMPRESSION_ERROR"},
		{"a larger table than every one begins with", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x3f, 0xe2, 0x1f, 0x88})
		}, "COMPRESSION_ERROR"},
		{"string over the end", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x08, 0x05, '2'})
		}, "COMPRESSION_ERROR"},
		{"endless integer", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1,
				[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		}, "COMPRESSION_ERROR"},
		{"bad Huffman", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x08, 0x81, 0x00})
		}, "COMPRESSION_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onOpenWire(t, Config{}, func(w *wire) {
				w.submit(0, "/1", "/2")
				w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
				go test.send(w) // the connection may end while it writes
				synctest.Wait()
				w.mu.Lock()
				w.frames = w.frames[max(0, len(w.frames)-1):] // acknowledgements may come before
				w.mu.Unlock()
				w.want("GOAWAY 0 " + test.code)
				w.ended("/1 unanswered", "/2 unanswered")
				w.state(Closed, test.code)
				if n, err := w.c.Submit([]*Request{{Prefix: wirePrefix, Path: []byte("/")}}); n != 0 || err != ErrClosed {
					t.Errorf("Submit: got %d, %v, want ErrClosed", n, err)
				}
				w.nc.Close()
			})
		})
	}
}

// TestFlood sends frames that have to be answered, and does not read the answers.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := New(client, Config{})
		fr := http2.NewFramer(server, nil)
		fr.WriteSettings()
		sent := 0
		for ; fr.WritePing(false, [8]byte{}) == nil; sent++ {
			if sent == 1<<16 {
				t.Fatal("the connection does not end")
			}
			if _, err := c.State(); err != nil {
				break
			}
			synctest.Wait()
		}
		state, err := c.State()
		if v := (*violation)(nil); state != Closed || !errors.As(err, &v) || v.code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("after %d PINGs: %v because %v, want closed with ENHANCE_YOUR_CALM", sent, state, err)
		}
		if want := c.cfg.ControlBytes / 17; sent > want+2 {
			t.Errorf("%d PINGs, want at most %d", sent, want)
		}
		<-c.Done()
		server.Close()
	})
}
