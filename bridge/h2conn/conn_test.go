package h2conn

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

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
		// A request may be sent again, but not while it is under way.
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
		t.Error("a prefix without authority is accepted")
	}
	if _, err := NewPrefix("POST", "https", "a", Field{"Host", nil}); err == nil {
		t.Error("a prefix with an upper case name is accepted")
	}
}

// deaf is a connection to a server that reads only when it is told to: each Write waits for a
// value from hears.
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

// onDeafWire runs a test on an open connection to a server that has stopped reading.
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

// TestLostBeforeWritten has one request handed to the network and others in the buffer when the
// connection ends: only the first may have arrived.
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

// TestEndWhileCalledBack ends the connection while a callback runs: requests that end meanwhile
// are handed back before Done is closed.
func TestEndWhileCalledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		hold := make(chan struct{})
		told := 0
		c := New(client, Config{Complete: func(_ *Conn, done []*Request) {
			<-hold
			told += len(done)
		}})
		go io.Copy(io.Discard, server)
		w := &wire{t: t, c: c, nc: server, fr: http2.NewFramer(server, server)}
		w.fr.WriteSettings()
		w.fr.WriteSettingsAck()
		synctest.Wait()
		reqs := w.submit(0, "/1", "/2")
		go c.Cancel(reqs[0])
		synctest.Wait()
		server.Close()
		synctest.Wait()
		select {
		case <-c.Done():
			t.Error("Done is closed while a callback runs")
		default:
		}
		close(hold)
		<-c.Done()
		if told != 2 {
			t.Errorf("%d requests were handed back, want 2", told)
		}
	})
}
