package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// newRand is a source whose seed a failed test shows.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func serveFeedback(t testing.TB, give func(r *gateway.FeedbackConn),
	change func(*gateway.FeedbackConfig)) *gateway.FeedbackServer {
	t.Helper()
	certificates()
	config := gateway.FeedbackConfig{
		Port: port(),
		Admit: func(*gateway.Hello) (gateway.FeedbackOpener, error) {
			return func(_ context.Context, r *gateway.FeedbackConn) { give(r) }, nil
		},
	}
	if change != nil {
		change(&config)
	}
	s, err := gateway.NewFeedbackServer(config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != gateway.ErrServerClosed {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
		if got := s.Stats(); got.Readers != 0 || got.Connections != 0 {
			t.Errorf("after Close: %+v", got)
		}
		eventually(t, "no descriptor of the port left open", func() bool { return !hasSocketAt(t, s.Addr()) })
	})
	return s
}

// tuples appends n of them, of 38 bytes, and now and then of 106.
func tuples(n int) []byte {
	var b []byte
	for i := range n {
		token := token32
		if i%7 == 3 {
			token = make([]byte, 100)
		}
		b = binproto.Tuple{Time: uint32(i), Token: token}.Append(b)
	}
	return b
}

// outcome is what the gateway thinks of a reader.
type outcome struct {
	wrote        error
	confirmed    bool
	acknowledged bool
	err          error
}

// give serves n tuples in writes of size, and says what became of it.
func give(n int) (func(*gateway.FeedbackConn), chan outcome) {
	outcomes := make(chan outcome, 100)
	return func(r *gateway.FeedbackConn) {
		var o outcome
		if b := tuples(n); len(b) > 0 {
			o.wrote = r.Write(b)
		}
		o.confirmed, o.err = r.Finish()
		o.acknowledged = r.Acknowledged()
		outcomes <- o
	}, outcomes
}

func (o outcome) check(t *testing.T, confirmed bool) {
	t.Helper()
	if o.confirmed != confirmed || (o.err == nil) != confirmed {
		t.Errorf("got %+v, want confirmed: %v", o, confirmed)
	}
	if confirmed && !o.acknowledged {
		t.Error("confirmed and not acknowledged")
	}
}

func TestFeedback(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5, 1_000, 20_000} {
		eachVersion(t, func(t *testing.T, version uint16) {
			serve, outcomes := give(n)
			s := serveFeedback(t, serve, nil)
			begin := time.Now()
			c := dial(t, s, version)
			got, err := io.ReadAll(c)
			took := time.Since(begin)
			if err != nil || !bytes.Equal(got, tuples(n)) {
				t.Errorf("%d tuples: got %d bytes, %v", n, len(got), err)
			}
			if n > 0 && took < 150*time.Millisecond {
				t.Errorf("the connection ended after %v, want 150ms behind the last tuple", took)
			}
			c.Close()
			(<-outcomes).check(t, true)
			eventually(t, "it is counted", func() bool { return s.Stats().Confirmed == 1 })
			if stats := s.Stats(); stats.Tuples != uint64(n) || stats.Bytes != uint64(len(got)) {
				t.Errorf("%d tuples: counted %d in %d bytes", n, stats.Tuples, stats.Bytes)
			}
		})
	}
}

// TestFeedbackRecords: no TLS record ends within a tuple. Reading with room for
// more than a record gives one record at a time.
func TestFeedbackRecords(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		serve, outcomes := give(5_000)
		s := serveFeedback(t, serve, nil)
		c := dial(t, s, version)
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			for b := buf[:n]; len(b) > 0; {
				var tuple binproto.Tuple
				size, err := binproto.ParseTuple(b, &tuple)
				if err != nil {
					t.Fatalf("a record ends with % x", b)
				}
				b = b[size:]
			}
			if err != nil {
				break
			}
		}
		c.Close()
		(<-outcomes).check(t, true)
	})
}

// testFeedbackUnread: readers that have not read everything, or of which that cannot be known, are
// not confirmed.
func testFeedbackUnread(t *testing.T) {
	readSome := func(t *testing.T, c *provider.Conn) {
		if _, err := io.ReadFull(c, make([]byte, 38)); err != nil {
			t.Error(err)
		}
	}
	readers := []struct {
		name         string
		n            int
		read         func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer)
		acknowledged bool
	}{
		{"killed with bytes unread", 1_000, func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
			readSome(t, c)
			eventually(t, "all is written, and so has arrived", func() bool {
				return s.Stats().Tuples == 1_000 && unread(t, c.TCP) > 0
			})
			acknowledge(t, c.TCP)
			c.TCP.Close()
		}, true},
		{"killed in the middle", 100_000, func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
			readSome(t, c)
			c.TCP.Close()
		}, false},
		{"reset", 100_000, func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
			readSome(t, c)
			c.Abort()
		}, false},
		{"ends its side before it reads, as s_client with an empty input", 100_000,
			func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
				c.CloseWrite()
				time.Sleep(50 * time.Millisecond)
				io.Copy(io.Discard, c.TCP)
				c.TCP.Close()
			}, false},
		{"ends its side behind the last tuple, and takes our end", 1,
			func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
				readSome(t, c)
				c.CloseWrite()
				io.Copy(io.Discard, c.TCP)
				c.TCP.Close()
			}, false},
		{"stops by count, reads no end", 1, func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
			readSome(t, c)
			eventually(t, "the end has arrived", func() bool { return unread(t, c.TCP) > 0 })
			c.TCP.Close()
		}, true},
		{"stops by count, at once", 1, func(t *testing.T, c *provider.Conn, s *gateway.FeedbackServer) {
			readSome(t, c)
			c.Close()
		}, true},
	}
	for _, tt := range readers {
		t.Run(tt.name, func(t *testing.T) {
			serve, outcomes := give(tt.n)
			s := serveFeedback(t, serve, nil)
			c := dial(t, s, tls.VersionTLS12)
			tt.read(t, c, s)
			o := <-outcomes
			o.check(t, false)
			if o.acknowledged != tt.acknowledged {
				t.Errorf("acknowledged is %v, want %v: %+v", o.acknowledged, tt.acknowledged, o)
			}
			if got := s.Stats(); got.Unconfirmed != 1 {
				t.Errorf("%d unconfirmed counted, want 1", got.Unconfirmed)
			}
		})
	}
}

const stall = 300 * time.Millisecond // FeedbackStall, where readers are slow

func stalls(c *gateway.FeedbackConfig) { c.Limits.FeedbackStall = stall }

// TestFeedbackStall: a reader that takes nothing is left.
func TestFeedbackStall(t *testing.T) {
	t.Parallel()
	serve, outcomes := give(300_000)
	s := serveFeedback(t, serve, stalls)
	dial(t, s, tls.VersionTLS13) // reads nothing
	o := <-outcomes
	o.check(t, false)
	if o.wrote == nil || o.err != o.wrote {
		t.Errorf("got %v and then %v, want one error for a reader that reads nothing: there is no more to wait for",
			o.wrote, o.err)
	}
	if got := s.Stats().Stalled; got == 0 {
		t.Error("no stall counted")
	}
}

// testFeedbackSlow: a reader that takes something now and then is not left.
func testFeedbackSlow(t *testing.T) {
	serve, outcomes := give(300_000)
	s := serveFeedback(t, serve, stalls)
	inTime(t, func() (late bool, err error) {
		c := dial(t, s, tls.VersionTLS13)
		var got int
		begin := time.Now()
		for last, buf := begin, make([]byte, 256<<10); ; last = time.Now() {
			n, err := io.ReadAtLeast(c, buf, len(buf))
			got += n
			late = late || time.Since(last) > stall/2
			if err != nil {
				break
			}
			if time.Since(begin) < 2*stall {
				time.Sleep(50 * time.Millisecond)
			}
		}
		c.Close()
		o := <-outcomes
		if want := len(tuples(300_000)); got != want || o.err != nil {
			return late, fmt.Errorf("a slow reader got %d bytes of %d, and %v", got, want, o.err)
		}
		o.check(t, true)
		return false, nil
	})
}

// TestFeedbackTotal: no reader is served for longer than FeedbackTotal.
func TestFeedbackTotal(t *testing.T) {
	t.Parallel()
	serve, outcomes := give(1)
	s := serveFeedback(t, serve, func(c *gateway.FeedbackConfig) { c.Limits.FeedbackTotal = 300 * time.Millisecond })
	c := dial(t, s, tls.VersionTLS12)
	io.ReadAll(c) // and never ends its side
	o := <-outcomes
	o.check(t, false)
	if o.err != context.DeadlineExceeded {
		t.Errorf("got %v, want %v", o.err, context.DeadlineExceeded)
	}
}

// TestFeedbackJunk: a reader has nothing to say, and cannot go on saying it for ever.
func TestFeedbackJunk(t *testing.T) {
	t.Parallel()
	serve, outcomes := give(300_000)
	s := serveFeedback(t, serve, nil)
	c := dial(t, s, tls.VersionTLS12)
	for {
		if _, err := c.Write(make([]byte, 16<<10)); err != nil {
			break
		}
	}
	(<-outcomes).check(t, false)
}

// TestFeedbackCutTuple: what is not a whole tuple is not written.
func TestFeedbackCutTuple(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	s := serveFeedback(t, func(r *gateway.FeedbackConn) {
		errs <- r.Write(tuples(3)[:100])
		r.Finish()
	}, nil)
	c := dial(t, s, tls.VersionTLS12)
	got, _ := io.ReadAll(c)
	if err := <-errs; err == nil {
		t.Error("Write took a cut tuple")
	}
	if !bytes.Equal(got, tuples(3)[:76]) {
		t.Errorf("got %d bytes, want the two whole tuples", len(got))
	}
	c.Close()
}

// TestFeedbackClose: Close ends readers in the middle, Shutdown waits for them.
func TestFeedbackClose(t *testing.T) {
	t.Parallel()
	serve, outcomes := give(300_000)
	s := serveFeedback(t, serve, nil)
	c := dial(t, s, tls.VersionTLS12)
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil || binary.BigEndian.Uint32(head[:]) != 0 {
		t.Fatal(err)
	}
	brief, cancel := contextFor(20 * time.Millisecond)
	defer cancel()
	if err := s.Shutdown(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v with a reader", err)
	}
	s.Close()
	(<-outcomes).check(t, false)
}

// TestFeedbackManyReaders: at once, and all get everything.
func TestFeedbackManyReaders(t *testing.T) {
	t.Parallel()
	serve, outcomes := give(2_000)
	s := serveFeedback(t, serve, nil)
	var reading sync.WaitGroup
	const readers = 8
	for range readers {
		c := dial(t, s, tls.VersionTLS13)
		reading.Go(func() {
			got, err := io.ReadAll(c)
			if err != nil || len(got) != len(tuples(2_000)) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			c.Close()
		})
	}
	reading.Wait()
	for range readers {
		(<-outcomes).check(t, true)
	}
}
