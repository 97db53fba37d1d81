package h2conn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
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
			for i, sizes := range [][]uint32{{0}, {100}, {4096}, {100}, {200, 4096}, {200, 300}, {400, 0, 100}} {
				for _, size := range sizes { // before the next block
					w.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
					w.want("SETTINGS ack")
					w.table.SetAllowedMaxDynamicTableSize(size)
				}
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
		r := &Request{Prefix: wirePrefix, Path: []byte("/1"), Fields: []Field{{"x", bytes.Repeat([]byte("v"), 40000)}},
			Body: []byte("b")}
		if n, err := w.c.Submit([]*Request{r}); n != 1 {
			t.Fatal(err)
		}
		w.want("HEADERS 1 …", "CONTINUATION 1 …", "CONTINUATION 1 /1", "DATA 1 1 end")
	})
}
