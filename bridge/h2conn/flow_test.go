package h2conn

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

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
			w.want("HEADERS 1 /1", "DATA 1 16384", "DATA 1 13616 end", "HEADERS 3 /2", "DATA 3 16384", "DATA 3 13616 end",
				"HEADERS 5 /3", "DATA 5 5535")
			w.room(0) // a further request is better kept by its owner
			w.fr.WriteWindowUpdate(0, 1000)
			w.want("DATA 5 1000")
			w.room(0)
			w.fr.WriteWindowUpdate(0, 65535)
			w.want("DATA 5 16384", "DATA 5 7081 end")
			w.room(997)
		})
	})
	t.Run("room in bytes", func(t *testing.T) {
		onOpenWire(t, Config{WriteBytes: 80000}, func(w *wire) {
			bytes := func(want int64, requests int) {
				t.Helper()
				if n, got := w.c.Room(); n != requests || got != want {
					t.Errorf("room for %d requests and %d bytes, want %d and %d", n, got, requests, want)
				}
			}
			bytes(65535, 1000)
			w.submit(60000, "/1")
			synctest.Wait()
			bytes(5535, 999)
			w.submit(5535, "/2")
			synctest.Wait()
			before := w.rooms
			bytes(0, 0) // from now on it waits for a call of Room
			w.fr.WriteWindowUpdate(0, 1<<20)
			synctest.Wait()
			if w.rooms != before+1 {
				t.Errorf("Room was called %d times, want once", w.rooms-before)
			}
			bytes(80000, 998) // limited by the buffer
			w.fr.WriteWindowUpdate(0, 1)
			synctest.Wait()
			if w.rooms != before+1 {
				t.Error("Room was called although nobody waited for it")
			}
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
	t.Run("reset before the body is out", func(t *testing.T) {
		for _, code := range []http2.ErrCode{
			http2.ErrCodeNo, http2.ErrCodeInternal, http2.ErrCodeFlowControl, http2.ErrCodeRefusedStream, http2.ErrCodeCancel,
			http2.ErrCodeEnhanceYourCalm, http2.ErrCode(99),
		} {
			t.Run(code.String(), func(t *testing.T) {
				onOpenWire(t, Config{}, func(w *wire) {
					w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
					w.want("SETTINGS ack")
					w.submit(6, "/part")
					w.submit(5, "/whole")
					w.want("HEADERS 1 /part", "DATA 1 5", "HEADERS 3 /whole", "DATA 3 5 end")
					w.fr.WriteRSTStream(1, code)
					w.ended("/part unprocessed")
					w.fr.WriteRSTStream(3, http2.ErrCodeInternal)
					w.ended("/whole unanswered")
				})
			})
		}
	})
	t.Run("refused because the limit fell", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1", "/2")
			w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
			w.fr.WriteRSTStream(3, http2.ErrCodeRefusedStream)
			w.want("SETTINGS ack")
			w.ended("/2 unprocessed")
			if w.last != ErrLowered {
				t.Errorf("got reason %v, want ErrLowered", w.last)
			}
			w.answer(1, ":status=200")
			w.ended("/1 answered 200")
			w.submit(0, "/3")
			w.want("HEADERS 5 /3 end")
			w.fr.WriteRSTStream(5, http2.ErrCodeRefusedStream)
			w.ended("/3 unprocessed")
			if w.last == ErrLowered {
				t.Error("got reason ErrLowered, but the limit had fallen before")
			}
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

// TestReceiveWindow has the server send more than the connection's window, in pieces.
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

// TestDataOverWindow has the server send more than the windows allow.
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

// TestNotWrittenWhole has requests end of whose bodies the server was not given all: it
// cannot have acted on them, unless it has begun to answer.
func TestNotWrittenWhole(t *testing.T) {
	onEach := func(end func(w *wire), ends ...string) {
		t.Helper()
		onOpenWire(t, Config{RequestTimeout: time.Second}, func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
			w.want("SETTINGS ack")
			w.submit(4, "/whole")
			w.submit(5, "/part", "/begun", "/headed")
			w.want("HEADERS 1 /whole", "DATA 1 4 end", "HEADERS 3 /part", "DATA 3 4", "HEADERS 5 /begun", "DATA 5 4",
				"HEADERS 7 /headed", "DATA 7 4")
			w.headers(5, ":status=103")
			w.headers(7, ":status=400")
			end(w)
			w.ended(ends...)
		})
	}
	onEach(func(w *wire) { w.nc.Close() },
		"/whole unanswered", "/part unprocessed", "/begun unanswered", "/headed unanswered 400")
	onEach(func(w *wire) { time.Sleep(2 * time.Second) },
		"/whole timed out", "/part unprocessed", "/begun timed out", "/headed timed out 400")
}

// TestPadding sends bodies of bytes that are padded one by one: the window does not end before
// the body does, and what is given back of it is no flood though the server reads it late.
func TestPadding(t *testing.T) {
	body := strings.Repeat("b", 500)
	cfg := Config{}.withDefaults()
	m := newMachine(&cfg)
	m.peer.greeted, m.peer.acknowledged = true, true
	m.openIfSettled()
	for i := range 50 {
		r := &Request{Prefix: wirePrefix, Path: []byte("/1")}
		if err := m.submit(r, 0); err != nil {
			t.Fatal(err)
		}
		id := r.stream
		if err := m.take(http2.FrameHeader{Type: http2.FrameHeaders, Flags: http2.FlagHeadersEndHeaders, StreamID: id},
			block(":status=400"), 0); err != nil {
			t.Fatal(err)
		}
		for j := range body {
			fh := http2.FrameHeader{Type: http2.FrameData, Flags: http2.FlagDataPadded, StreamID: id}
			if j == len(body)-1 {
				fh.Flags |= http2.FlagDataEndStream
			}
			if err := m.take(fh, append([]byte{255, body[j]}, make([]byte, 255)...), 0); err != nil {
				t.Fatalf("body %d, byte %d: %v", i, j, err)
			}
		}
		if r.Fate != Answered || string(r.Response.Body) != body {
			t.Fatalf("%v: %v", r.Fate, r.Err)
		}
	}
}
