package h2conn

import (
	"errors"
	"io"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

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

func TestHealth(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			for range 3 {
				time.Sleep(15*time.Second + 10*time.Millisecond)
				w.want("PING")
				time.Sleep(time.Second)
				w.fr.WritePing(true, pingData(w.c.m.health.serial))
				w.state(Open, "")
				if got, want := w.c.Stats().RTT, time.Second; got < want || got > want+20*time.Millisecond {
					t.Errorf("RTT: got %v, want %v", got, want)
				}
			}
		})
	})
	t.Run("anything heard is a sign of life", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("PING")
			for range 10 {
				time.Sleep(10 * time.Second)
				w.fr.WriteRawFrame(0xef, 0, 0, nil)
			}
			w.want()
			w.state(Open, "")
		})
	})
	t.Run("black hole", func(t *testing.T) {
		onOpenWire(t, Config{RequestTimeout: time.Minute}, func(w *wire) {
			time.Sleep(5 * time.Second)
			w.fr.WriteRawFrame(0xef, 0, 0, nil)
			w.submit(0, "/1")
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("HEADERS 1 /1 end", "PING")
			time.Sleep(14 * time.Second)
			w.ended()
			time.Sleep(time.Second + 10*time.Millisecond)
			w.ended("/1 unanswered")
			w.state(Closed, "no answer to PING")
		})
	})
	t.Run("the server's own", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WritePing(false, [8]byte([]byte("whoareu?")))
			w.want("PING ack whoareu?")
			w.fr.WritePing(true, [8]byte{}) // of nothing
			w.want()
		})
	})
}

func TestDeadlines(t *testing.T) {
	onOpenWire(t, Config{RequestTimeout: 10 * time.Second}, func(w *wire) {
		w.submit(0, "/1")
		short := &Request{Prefix: wirePrefix, Path: []byte("/2"), Timeout: time.Second}
		if n, err := w.c.Submit([]*Request{short}); n != 1 {
			t.Fatal(err)
		}
		w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
		time.Sleep(time.Second - time.Millisecond)
		w.ended()
		time.Sleep(10 * time.Millisecond)
		w.ended("/2 timed out")
		if w.last != ErrDeadline {
			t.Errorf("got %v, want ErrDeadline", w.last)
		}
		w.want("RST_STREAM 3 CANCEL")
		w.answer(3, ":status=200") // too late
		w.ended()
		time.Sleep(9 * time.Second)
		w.ended("/1 timed out")
		w.want("RST_STREAM 1 CANCEL")
		w.room(1000)
		w.submit(0, "/3")
		w.want("HEADERS 5 /3 end")
		w.answer(5, ":status=200")
		w.ended("/3 answered 200")
	})
}

func TestCancel(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		reqs := w.submit(0, "/1", "/2")
		w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
		if !w.c.Cancel(reqs[0]) {
			t.Error("Cancel: false, want true")
		}
		w.want("RST_STREAM 1 CANCEL")
		w.ended("/1 canceled")
		if w.c.Cancel(reqs[0]) {
			t.Error("Cancel of what has ended: true, want false")
		}
		w.answer(3, ":status=200")
		w.ended("/2 answered 200")
		// A request may be sent again, and not while it is under way.
		if n, err := w.c.Submit(reqs[:1]); n != 1 {
			t.Fatal(err)
		}
		if _, err := w.c.Submit(reqs[:1]); err == nil {
			t.Error("a request was sent twice at once")
		}
		w.want("HEADERS 5 /1 end")
		w.answer(5, ":status=200")
		w.ended("/1 answered 200")
	})
}

func TestBadRequests(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		for _, r := range []*Request{
			{Path: []byte("/")},
			{Prefix: wirePrefix},
			{Prefix: wirePrefix, Path: []byte("/\r\n")},
			{Prefix: wirePrefix, Path: []byte("/"), Fields: []Field{{"", nil}}},
			{Prefix: wirePrefix, Path: []byte("/"), Fields: []Field{{"Upper", nil}}},
			{Prefix: wirePrefix, Path: []byte("/"), Fields: []Field{{":path", []byte("/")}}},
			{Prefix: wirePrefix, Path: []byte("/"), Fields: []Field{{"a", []byte("x\ny")}}},
		} {
			n, err := w.c.Submit([]*Request{r})
			if re := (*RequestError)(nil); n != 0 || !errors.As(err, &re) {
				t.Errorf("%s %v: got %d, %v, want a RequestError", r.Path, r.Fields, n, err)
			}
		}
		w.want()
		w.room(1000)
	})
	if _, err := NewPrefix("POST", "https", ""); err == nil {
		t.Error("a prefix without authority")
	}
	if _, err := NewPrefix("POST", "https", "a", Field{"Host", nil}); err == nil {
		t.Error("a prefix with an upper case name")
	}
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

// deaf is a server that stops reading when told to: what we write then stays
// with us.
type deaf struct {
	net.Conn
	hears chan struct{}
	quit  chan struct{}
}

func (d *deaf) Write(p []byte) (int, error) {
	select {
	case <-d.hears:
		return d.Conn.Write(p)
	case <-d.quit:
		return 0, net.ErrClosed
	}
}

func (d *deaf) SetWriteDeadline(t time.Time) error {
	time.AfterFunc(time.Until(t), func() { close(d.quit) })
	return nil
}

// onDeafWire is an open connection to a server that has stopped reading.
func onDeafWire(t *testing.T, test func(w *wire, fates map[string]Fate)) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		hears := make(chan struct{}, 10)
		fates := map[string]Fate{}
		c := New(&deaf{client, hears, make(chan struct{})}, Config{Complete: func(_ *Conn, done []*Request) {
			for _, r := range done {
				fates[string(r.Path)] = r.Fate
			}
		}})
		go io.Copy(io.Discard, server)
		w := &wire{t: t, c: c, nc: server, fr: http2.NewFramer(server, server)}
		synctest.Wait()
		hears <- struct{}{} // the greeting
		synctest.Wait()
		w.fr.WriteSettings()
		w.fr.WriteSettingsAck()
		synctest.Wait()
		hears <- struct{}{} // the acknowledgement
		synctest.Wait()
		test(w, fates)
		server.Close()
		<-c.Done()
	})
}

// TestLostBeforeWritten has one request in the hands of the network and others
// in the buffer when the connection ends: only the first may have arrived.
func TestLostBeforeWritten(t *testing.T) {
	onDeafWire(t, func(w *wire, fates map[string]Fate) {
		w.submit(0, "/handed")
		synctest.Wait()
		w.submit(0, "/waiting", "/too")
		synctest.Wait()
		w.nc.Close()
		<-w.c.Done()
		for path, want := range map[string]Fate{"/handed": Unanswered, "/waiting": Unprocessed, "/too": Unprocessed} {
			if got, ok := fates[path]; !ok || got != want {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
		if took := time.Since(w.c.made); took != w.c.cfg.CloseTimeout {
			t.Errorf("closing took %v, want the CloseTimeout", took)
		}
	})
}

// TestStuck has a server that says something every now and then, but reads
// nothing.
func TestStuck(t *testing.T) {
	onDeafWire(t, func(w *wire, fates map[string]Fate) {
		w.submit(0, "/1")
		for range 10 {
			time.Sleep(5 * time.Second)
			if w.fr.WriteRawFrame(0xef, 0, 0, nil) != nil {
				break
			}
		}
		w.state(Closed, ErrStuck.Error())
		if took := time.Since(w.c.made); took < 30*time.Second || took > 50*time.Second {
			t.Errorf("found after %v, want 30 to 50 s", took)
		}
		if fates["/1"] != TimedOut {
			t.Errorf("the request is %v, want timed out", fates["/1"])
		}
	})
}

// TestFlood asks for answers and does not read them.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := New(client, Config{})
		fr := http2.NewFramer(server, nil)
		fr.WriteSettings()
		sent := 0
		for ; fr.WritePing(false, [8]byte{}) == nil; sent++ {
			if sent == 1<<16 {
				t.Fatal("the connection bears it")
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
