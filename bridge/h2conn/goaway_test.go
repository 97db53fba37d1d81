package h2conn

import (
	"errors"
	"math"
	"testing"

	"golang.org/x/net/http2"
)

func TestGoAway(t *testing.T) {
	t.Run("graceful, then the real one", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1", "/2", "/3")
			w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end", "HEADERS 5 /3 end")
			w.fr.WriteGoAway(math.MaxInt32, http2.ErrCodeNo, nil)
			w.state(Draining, "code NO_ERROR")
			w.ended()
			if n, err := w.c.Submit([]*Request{{Prefix: wirePrefix, Path: []byte("/4")}}); n != 0 || err != ErrDraining {
				t.Errorf("Submit: got %d, %v, want ErrDraining", n, err)
			}
			w.fr.WriteGoAway(3, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
			w.ended("/3 unprocessed")
			w.answer(3, ":status=200")
			w.ended("/2 answered 200")
			w.want()
			w.answer(1, ":status=200")
			w.ended("/1 answered 200")
			w.want("GOAWAY 0 NO_ERROR")
			w.state(Closed, `{\"reason\":\"Shutdown\"}`)
			var g *GoAway
			if _, err := w.c.State(); !errors.As(err, &g) || g.LastStream != 3 || g.Debug != `{"reason":"Shutdown"}` {
				t.Errorf("reason: got %v, want the GOAWAY", err)
			}
			if w.c.Stats().GoAways != 2 {
				t.Errorf("Stats: %d GOAWAYs, want 2", w.c.Stats().GoAways)
			}
		})
	})
	t.Run("abrupt", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1", "/2", "/3")
			w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end", "HEADERS 5 /3 end")
			w.fr.WriteGoAway(1, http2.ErrCodeInternal, []byte("oops"))
			w.ended("/2 unprocessed", "/3 unprocessed")
			w.nc.Close()
			w.ended("/1 unanswered")
			w.state(Closed, `"oops"`)
		})
	})
	t.Run("last stream 0", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1")
			w.want("HEADERS 1 /1 end")
			w.fr.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil)
			w.ended("/1 unprocessed")
			w.want("GOAWAY 0 NO_ERROR")
			w.state(Closed, "ENHANCE_YOUR_CALM")
		})
	})
	t.Run("idle", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WriteGoAway(math.MaxInt32, http2.ErrCodeNo, nil)
			w.want("GOAWAY 0 NO_ERROR")
			w.state(Closed, "GOAWAY")
			if len(w.states) != 2 || w.states[1] != Closed {
				t.Errorf("Changed was told %v, want open, closed", w.states)
			}
		})
	})
	t.Run("instead of SETTINGS", func(t *testing.T) {
		onWire(t, Config{}, func(w *wire) {
			w.fr.WriteGoAway(0, http2.ErrCodeNo, []byte(`{"reason":"BadCertificate"}`))
			w.want("GOAWAY 0 NO_ERROR")
			w.state(Closed, "BadCertificate")
		})
	})
	t.Run("the error stays the reason", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1", "/2")
			w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
			w.fr.WriteGoAway(3, http2.ErrCodeProtocol, []byte("why"))
			w.fr.WriteGoAway(1, http2.ErrCodeNo, nil)
			w.ended("/2 unprocessed")
			w.state(Draining, `code PROTOCOL_ERROR, last stream 1, debug data "why"`)
		})
	})
}

func TestClosing(t *testing.T) {
	t.Run("Drain", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1")
			w.c.Drain()
			w.state(Draining, "drained")
			w.want("HEADERS 1 /1 end")
			w.answer(1, ":status=200")
			w.ended("/1 answered 200")
			w.want("GOAWAY 0 NO_ERROR")
			w.state(Closed, "drained")
			<-w.c.Done()
		})
	})
	t.Run("Close", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1")
			w.want("HEADERS 1 /1 end")
			w.c.Close()
			w.want("GOAWAY 0 NO_ERROR")
			w.ended("/1 unanswered")
			<-w.c.Done()
		})
	})
	t.Run("by the server", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.submit(0, "/1")
			w.want("HEADERS 1 /1 end")
			w.nc.Close()
			w.ended("/1 unanswered")
			w.state(Closed, "the server closed the connection")
		})
	})
	t.Run("identifiers are spent", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.c.mu.Lock()
			w.c.m.next = maxStreamID - 2
			w.c.mu.Unlock()
			w.submit(0, "/1", "/2")
			w.want("HEADERS 2147483645 /1 end", "HEADERS 2147483647 /2 end")
			if _, err := w.c.Submit([]*Request{{Prefix: wirePrefix, Path: []byte("/3")}}); err != ErrDraining {
				t.Errorf("got %v, want ErrDraining", err)
			}
			w.state(Draining, "identifiers are spent")
			w.answer(maxStreamID, ":status=200")
			w.answer(maxStreamID-2, ":status=200")
			w.ended("/2 answered 200", "/1 answered 200")
			w.want("GOAWAY 0 NO_ERROR")
		})
	})
	t.Run("identifiers are spent, nothing open", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.c.mu.Lock()
			w.c.m.next = maxStreamID + 2
			w.c.mu.Unlock()
			if _, err := w.c.Submit([]*Request{{Prefix: wirePrefix, Path: []byte("/1")}}); err != ErrDraining {
				t.Errorf("got %v, want ErrDraining", err)
			}
			w.state(Closed, "identifiers are spent")
		})
	})
}
