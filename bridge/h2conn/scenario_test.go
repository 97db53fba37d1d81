package h2conn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestSettings(t *testing.T) {
	t.Run("open when both sides know each other's", func(t *testing.T) {
		onWire(t, Config{}, func(w *wire) {
			w.state(Opening, "")
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
			w.want("SETTINGS ack")
			w.room(0)
			w.fr.WriteSettingsAck()
			w.state(Open, "")
			w.room(1)
			if w.rooms != 1 || len(w.states) != 1 {
				t.Errorf("Room was called %d times and Changed with %v, want once and open", w.rooms, w.states)
			}
		})
	})
	t.Run("never settled", func(t *testing.T) {
		onWire(t, Config{}, func(w *wire) {
			w.fr.WriteSettings()
			time.Sleep(10*time.Second + time.Millisecond)
			w.want("SETTINGS ack", "GOAWAY 0 NO_ERROR")
			w.state(Closed, "did not settle")
		})
	})
	t.Run("stream limit 1, 1000, 1, none, 0", func(t *testing.T) {
		onOpenWire(t, Config{MaxStreams: 1500}, func(w *wire) {
			limit := func(v uint32) {
				w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: v})
				w.want("SETTINGS ack")
			}
			w.room(1500)
			limit(1)
			w.room(1)
			w.submit(0, "/1")
			w.want("HEADERS 1 /1 end")
			more := &Request{Prefix: wirePrefix, Path: []byte("/2")}
			if n, err := w.c.Submit([]*Request{more}); n != 0 || err != ErrNoRoom {
				t.Fatalf("got %d, %v, want ErrNoRoom", n, err)
			}
			before := w.rooms
			limit(1000)
			w.room(999)
			if w.rooms != before+1 {
				t.Errorf("Room was called %d times, want once", w.rooms-before)
			}
			w.submit(0, "/2", "/3", "/4")
			w.want("HEADERS 3 /2 end", "HEADERS 5 /3 end", "HEADERS 7 /4 end")
			limit(1)
			w.room(0)
			for id := uint32(1); id < 7; id += 2 {
				w.answer(id, ":status=200")
				w.room(0)
			}
			w.answer(7, ":status=200")
			w.room(1)
			w.ended("/1 answered 200", "/2 answered 200", "/3 answered 200", "/4 answered 200")
			limit(0)
			w.room(0)
		})
	})
	t.Run("windows shrink below zero and grow again", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			window := func(v uint32) { w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: v}) }
			window(100)
			w.want("SETTINGS ack")
			w.submit(150, "/1")
			w.want("HEADERS 1 /1", "DATA 1 100")
			window(20) // -80
			w.fr.WriteWindowUpdate(1, 80)
			w.want("SETTINGS ack")
			w.fr.WriteWindowUpdate(1, 10)
			w.want("DATA 1 10")
			window(30)
			w.want("SETTINGS ack", "DATA 1 10")
			window(1000)
			w.want("SETTINGS ack", "DATA 1 30 end")
		})
	})
	t.Run("frame size", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(40000, "/1")
			w.want("HEADERS 1 /1", "DATA 1 16384", "DATA 1 16384", "DATA 1 7232 end")
			w.fr.WriteWindowUpdate(0, 40000)
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20000})
			w.submit(40000, "/2")
			w.want("SETTINGS ack", "HEADERS 3 /2", "DATA 3 20000", "DATA 3 20000 end")
		})
	})
	t.Run("header table size", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1", "/2")
			w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
			for i, size := range []uint32{0, 100, 4096} {
				w.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
				w.want("SETTINGS ack")
				w.table.SetAllowedMaxDynamicTableSize(size)
				w.submit(0, "/3", "/4")
				id := 5 + 4*i
				w.want(fmt.Sprintf("HEADERS %d /3 end", id), fmt.Sprintf("HEADERS %d /4 end", id+2))
			}
		})
	})
	t.Run("header list size", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 500})
			w.want("SETTINGS ack")
			long := &Request{Prefix: wirePrefix, Path: []byte("/" + strings.Repeat("x", 300))}
			_, err := w.c.Submit([]*Request{long})
			if re := (*RequestError)(nil); !errors.As(err, &re) {
				t.Errorf("got %v, want a RequestError", err)
			}
			w.submit(0, "/1")
			w.want("HEADERS 1 /1 end")
		})
	})
}

func TestLargeHead(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		r := &Request{Prefix: wirePrefix, Path: []byte("/1"), Fields: []Field{{"x", bytes.Repeat([]byte("v"), 40000)}}, Body: []byte("b")}
		if n, err := w.c.Submit([]*Request{r}); n != 1 {
			t.Fatal(err)
		}
		w.want("HEADERS 1 …", "CONTINUATION 1 …", "CONTINUATION 1 /1", "DATA 1 1 end")
	})
}

func TestFlowControl(t *testing.T) {
	t.Run("of a stream", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			w.want("SETTINGS ack")
			w.submit(10, "/1", "/2")
			w.want("HEADERS 1 /1", "HEADERS 3 /2")
			w.fr.WriteWindowUpdate(3, 10)
			w.want("DATA 3 10 end")
			w.fr.WriteWindowUpdate(1, 4)
			w.want("DATA 1 4")
			w.fr.WriteWindowUpdate(1, 100)
			w.want("DATA 1 6 end")
			w.room(998)
		})
	})
	t.Run("of the connection", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(30000, "/1", "/2", "/3")
			w.want("HEADERS 1 /1", "DATA 1 16384", "DATA 1 13616 end", "HEADERS 3 /2", "DATA 3 16384", "DATA 3 13616 end", "HEADERS 5 /3", "DATA 5 5535")
			w.room(0) // a request is better off with its owner
			w.fr.WriteWindowUpdate(0, 1000)
			w.want("DATA 5 1000")
			w.room(0)
			w.fr.WriteWindowUpdate(0, 65535)
			w.want("DATA 5 16384", "DATA 5 7081 end")
			w.room(997)
		})
	})
	t.Run("in line, one is reset", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(65535, "/1")
			w.want("HEADERS 1 /1", "DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "DATA 1 16383 end")
			w.fr.WriteWindowUpdate(0, 1)
			w.submit(2, "/2")
			w.want("HEADERS 3 /2", "DATA 3 1")
			w.fr.WriteRSTStream(3, http2.ErrCodeRefusedStream)
			w.fr.WriteWindowUpdate(0, 100)
			w.want()
			w.room(999)
			w.ended("/2 unprocessed")
		})
	})
	t.Run("the buffer bounds a large body", func(t *testing.T) {
		onOpenWire(t, Config{WriteBytes: 1000}, func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			w.fr.WriteWindowUpdate(0, 1<<20)
			w.want("SETTINGS ack")
			w.submit(50000, "/1")
			w.want("HEADERS 1 /1", "DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "DATA 1 848 end")
		})
	})
	t.Run("a response comes before the body is out", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
			w.want("SETTINGS ack")
			w.submit(10, "/1")
			w.want("HEADERS 1 /1", "DATA 1 5")
			w.answer(1, ":status=413")
			w.fr.WriteRSTStream(1, http2.ErrCodeNo)
			w.want("RST_STREAM 1 CANCEL")
			w.ended("/1 answered 413")
		})
	})
}

func TestResponses(t *testing.T) {
	for _, test := range []struct {
		name  string
		send  func(w *wire)
		end   string
		reply string // a frame of the client, if any
	}{
		{"status alone", func(w *wire) { w.answer(1, ":status=200") }, "/1 answered 200", ""},
		{"wanted field", func(w *wire) { w.answer(1, ":status=200", "date=now", "apns-id=abc") }, "/1 answered 200 id=abc", ""},
		{"body", func(w *wire) {
			w.headers(1, ":status=400", "content-length=6")
			w.fr.WriteData(1, false, []byte("rea"))
			w.fr.WriteData(1, true, []byte("son"))
		}, "/1 answered 400 reason", ""},
		{"padded", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=400"), EndHeaders: true, PadLength: 9})
			w.fr.WriteDataPadded(1, false, []byte("rea"), make([]byte, 10))
			w.fr.WriteDataPadded(1, true, []byte("son"), make([]byte, 3))
		}, "/1 answered 400 reason", "WINDOW_UPDATE 1 11"},
		{"with priority", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=200"), EndHeaders: true, EndStream: true,
				Priority: http2.PriorityParam{StreamDep: 3, Weight: 7}})
		}, "/1 answered 200", ""},
		{"in CONTINUATION", func(w *wire) {
			b := block(":status=200", "apns-id=abc")
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1], EndStream: true})
			w.fr.WriteContinuation(1, false, b[1:4])
			w.fr.WriteContinuation(1, false, nil)
			w.fr.WriteContinuation(1, true, b[4:])
		}, "/1 answered 200 id=abc", ""},
		{"interim first", func(w *wire) {
			w.headers(1, ":status=103", "apns-id=early", "content-length=5")
			w.headers(1, ":status=100")
			w.answer(1, ":status=200")
		}, "/1 answered 200", ""},
		{"trailers", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteData(1, false, []byte("x"))
			w.answer(1, "apns-id=late")
		}, "/1 answered 200 x", ""},
		{"literals put into a table that is not there", func(w *wire) {
			b := append([]byte{0x20, 0x88, 0x40, 7}, "apns-id"...)
			b = append(b, 3)
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append(b, "abc"...), EndHeaders: true, EndStream: true})
		}, "/1 answered 200 id=abc", ""},
		{"frames nobody knows", func(w *wire) {
			w.fr.WriteRawFrame(0x10, 0, 1, []byte("u=1"))
			w.fr.WriteRawFrame(0xef, 0xff, 77, []byte("grease"))
			w.fr.WritePriority(1, http2.PriorityParam{StreamDep: 9})
			w.answer(1, ":status=200")
		}, "/1 answered 200", ""},
		{"settings nobody knows", func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: 0x3a3a, Val: 7})
			w.answer(1, ":status=200")
		}, "/1 answered 200", "SETTINGS ack"},
		{"304 with the length it would have had", func(w *wire) { w.answer(1, ":status=304", "content-length=99") }, "/1 answered 304", ""},

		{"refused", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, "/1 unprocessed", ""},
		{"reset", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeInternal) }, "/1 unanswered", ""},
		{"reset without an error and without an answer", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeNo) }, "/1 unanswered", ""},
		{"reset behind the head", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeCancel)
		}, "/1 unanswered 200", ""},
		{"refused behind the head", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}, "/1 unanswered 200", ""},
		{"refused behind an interim response", func(w *wire) {
			w.headers(1, ":status=100")
			w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}, "/1 unanswered", ""},
		{"answered, then reset", func(w *wire) {
			w.answer(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeNo)
		}, "/1 answered 200", ""},
		{"frames behind the end", func(w *wire) {
			w.answer(1, ":status=200")
			w.headers(1, ":status=500")
			w.fr.WriteData(1, true, []byte("x"))
			w.fr.WriteWindowUpdate(1, 5)
		}, "/1 answered 200", ""},

		{"no status", func(w *wire) { w.answer(1, "apns-id=abc") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"empty head", func(w *wire) { w.answer(1) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"two statuses", func(w *wire) { w.answer(1, ":status=200", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status behind a field", func(w *wire) { w.answer(1, "a=b", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status of two digits", func(w *wire) { w.answer(1, ":status=20") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status that is no number", func(w *wire) { w.answer(1, ":status=2x0") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"a request's field", func(w *wire) { w.answer(1, ":path=/", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"upper case", func(w *wire) { w.answer(1, ":status=200", "Apns-Id=x") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"line end in a value", func(w *wire) { w.answer(1, ":status=200", "a=b\r\nc") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"101", func(w *wire) { w.headers(1, ":status=101") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"interim at the end", func(w *wire) { w.answer(1, ":status=100") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"trailers in the middle", func(w *wire) {
			w.headers(1, ":status=200")
			w.headers(1, "a=b")
		}, "/1 malformed 200", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status in trailers", func(w *wire) {
			w.headers(1, ":status=200")
			w.answer(1, ":status=200")
		}, "/1 malformed 200", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"DATA before HEADERS", func(w *wire) { w.fr.WriteData(1, true, []byte("x")) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"DATA after an interim response only", func(w *wire) {
			w.headers(1, ":status=100")
			w.fr.WriteData(1, true, []byte("x"))
		}, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"body shorter than said", func(w *wire) {
			w.headers(1, ":status=200", "content-length=5")
			w.fr.WriteData(1, true, []byte("x"))
		}, "/1 malformed 200 x", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"length that is no number", func(w *wire) { w.answer(1, ":status=200", "content-length=+0") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"two lengths", func(w *wire) { w.answer(1, ":status=200", "content-length=0", "content-length=1") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"header list over the bound", func(w *wire) {
			w.answer(1, ":status=200", "a="+strings.Repeat("v", 8000), "b="+strings.Repeat("v", 8400))
		}, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of 0", func(w *wire) { w.fr.WriteWindowUpdate(1, 0) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"window too large", func(w *wire) { w.fr.WriteWindowUpdate(1, 1<<31-1) }, "/1 malformed", "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onOpenWire(t, Config{}, func(w *wire) {
				w.submit(0, "/1", "/2")
				w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
				test.send(w)
				if test.reply == "" {
					w.want()
				} else {
					w.want(test.reply)
				}
				w.ended(test.end)
				// The connection is as good as before.
				w.answer(3, ":status=200")
				w.ended("/2 answered 200")
				w.room(1000)
			})
		})
	}
}

func TestBodyBound(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		w.submit(0, "/1", "/2")
		w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
		w.headers(1, ":status=200")
		w.fr.WriteData(1, false, make([]byte, 16384))
		w.want()
		w.fr.WriteData(1, false, []byte("x"))
		w.want("RST_STREAM 1 CANCEL")
		w.headers(3, ":status=200")
		w.fr.WriteData(3, true, bytes.Repeat([]byte("y"), 16384))
		w.ended("/1 malformed 200 "+strings.Repeat("\x00", 16384), "/2 answered 200 "+strings.Repeat("y", 16384))
	})
}

// TestReceiveWindow sends more over the connection than its window, in pieces.
func TestReceiveWindow(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		given := 0
		for i := range 200 {
			id := uint32(1 + 2*i)
			w.submit(0, "/1")
			w.headers(id, ":status=200")
			w.fr.WriteData(id, true, make([]byte, 16384))
			w.ended("/1 answered 200 " + strings.Repeat("\x00", 16384))
			w.mu.Lock()
			for _, f := range w.frames {
				var n int
				if _, err := fmt.Sscanf(f, "WINDOW_UPDATE 0 %d", &n); err == nil {
					given += n
				}
			}
			w.frames = nil
			w.mu.Unlock()
			if window := 1<<20 + given - (i+1)*16384; window < 1<<19-16384 || window > 1<<20 {
				t.Fatalf("after %d bodies the server may send %d bytes", i+1, window)
			}
		}
	})
}

// TestBreaches are what ends a connection, and what the server is told.
func TestBreaches(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(w *wire)
		code string
	}{
		{"push", func(w *wire) {
			w.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block(":method=GET"), EndHeaders: true})
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
		{"a table after all", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x3f, 0x01, 0x88})
		}, "COMPRESSION_ERROR"},
		{"string over the end", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0x08, 0x05, '2'})
		}, "COMPRESSION_ERROR"},
		{"endless integer", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
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

// TestDataOverWindow sends more than the windows allow.
func TestDataOverWindow(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		w.submit(0, "/1")
		w.headers(1, ":status=200")
		w.want("HEADERS 1 /1 end")
		w.c.mu.Lock()
		w.c.m.flow.credit = 5
		w.c.mu.Unlock()
		w.fr.WriteData(1, false, []byte("123456"))
		w.want("GOAWAY 0 FLOW_CONTROL_ERROR")
	})
	onOpenWire(t, Config{}, func(w *wire) {
		w.submit(0, "/1")
		w.headers(1, ":status=200")
		w.want("HEADERS 1 /1 end")
		w.c.mu.Lock()
		w.c.m.find(1).credit = 5
		w.c.mu.Unlock()
		w.fr.WriteData(1, false, []byte("123456"))
		w.want("RST_STREAM 1 FLOW_CONTROL_ERROR")
		w.ended("/1 malformed 200")
	})
}
