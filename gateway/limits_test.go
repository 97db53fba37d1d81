package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// aHandshake is enough for one that is honest, on a machine that has much else to do. One that hangs ends within the
// test's patience all the same.
const aHandshake = patience / 2

// pass connects, is told, and leaves: what a legitimate provider wants.
func pass(t *testing.T, s *gateway.Server, ss *sessions) {
	t.Helper()
	passOver(t, dial(t, s, tls.VersionTLS13), ss)
}

func passOver(t *testing.T, c *provider.Conn, ss *sessions) {
	t.Helper()
	defer c.TCP.Close()
	write(t, c, enhanced(nil, 1, 10))
	c.CloseWrite()
	r := ss.next()
	r.closeWhenOver()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, 10)
}

// clientHello is a complete ClientHello, after which nothing will come.
func clientHello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	go tls.Client(a, clientTLS(tls.VersionTLS12)).Handshake()
	defer a.Close()
	buf := make([]byte, 16<<10)
	n, err := io.ReadAtLeast(b, buf, 5)
	if err != nil {
		t.Fatal(err)
	}
	for size := 5 + (int(buf[3])<<8 | int(buf[4])); n < size; {
		m, err := b.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	return buf[:n]
}

// soon is a HandshakeTimeout that is waited for until it is over.
const soon = 300 * time.Millisecond

// TestSilentSockets: silent sockets take no place among the handshakes, and none among the
// connections for long.
func TestSilentSockets(t *testing.T) {
	t.Parallel()
	const silent = 100
	hello := clientHello(t)
	for name, sent := range map[string][]byte{
		"nothing":                                nil,
		"one byte":                               hello[:1],
		"all but the last byte of a ClientHello": hello[:len(hello)-1],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ss := newSessions(t)
			s := serve(t, ss.open, func(c *gateway.Config) {
				c.Limits.Handshakes, c.Limits.HandshakeTimeout = 1, aHandshake
			})
			for range silent {
				write(t, rawDial(t, s), sent)
			}
			pass(t, s, ss)

			s = serve(t, ss.open, func(c *gateway.Config) { c.Limits.HandshakeTimeout = soon })
			for range silent {
				rawDial(t, s).Write(sent) // too late on a busy machine
			}
			eventually(t, "all are timed out", func() bool { return s.Stats().HandshakesTimedOut == silent })
			eventually(t, "all are closed", func() bool { return s.Stats().Connections == 0 })
		})
	}
}

// TestStalledHandshakes: sockets that say hello and nothing more fill every place. One of them
// gives way to a handshake that needs the place.
func TestStalledHandshakes(t *testing.T) {
	t.Parallel()
	const stalled, places = 10, 3
	hello := clientHello(t)
	ss := newSessions(t)
	var s *gateway.Server
	var honest atomic.Bool
	s = serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.Handshakes = places + 1
		c.Limits.HandshakesPerAddress = places
		c.Limits.HandshakeTimeout = aHandshake
		certificate := c.Certificate
		c.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if slices.Contains(h.SupportedVersions, tls.VersionTLS13) {
				honest.Store(true)
				s.GiveWayAfter(patience) // it has all the time that it needs
			}
			return certificate(h)
		}
	})
	s.GiveWayAfter(patience)
	for range stalled {
		write(t, rawDial(t, s), hello)
	}
	eventually(t, "all places of the address are taken", func() bool {
		got := s.Stats()
		return got.Handshakes == places && got.HandshakesWaiting == stalled-places
	})
	if got := s.Stats(); got.HandshakesOfBusiest != places {
		t.Errorf("the busiest address has %d handshakes, want %d", got.HandshakesOfBusiest, places)
	}
	tcp := rawDial(t, s)
	c, shaken := tls.Client(tcp, clientTLS(tls.VersionTLS13)), make(chan error, 1)
	go func() { shaken <- c.Handshake() }()
	eventually(t, "it waits for a place", func() bool { return s.Stats().HandshakesWaiting == stalled-places+1 })
	if honest.Load() || s.Stats().HandshakesDropped != 0 {
		t.Error("it had no need for a place")
	}
	s.GiveWayAfter(100 * time.Millisecond)
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	passOver(t, &provider.Conn{Conn: c, TCP: tcp}, ss)
	if s.Stats().HandshakesDropped == 0 {
		t.Error("none was dropped")
	}
}

// TestStalledHandshakesEnd: such sockets have the time of a handshake, whether they have a place or wait for one.
func TestStalledHandshakesEnd(t *testing.T) {
	t.Parallel()
	hello := clientHello(t)
	s := serve(t, newSessions(t).open, func(c *gateway.Config) {
		c.Limits.HandshakesPerAddress = 3
		c.Limits.HandshakeTimeout = soon
	})
	const stalled = 10
	for range stalled {
		rawDial(t, s).Write(hello) // too late on a busy machine
	}
	eventually(t, "all have come and gone", func() bool {
		got := s.Stats()
		return got.HandshakesTimedOut+got.HandshakesDropped == stalled && got.Connections == 0
	})
}

// TestConnectionLimits: what is over a bound is closed before TLS.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*gateway.Config)
		over   func(gateway.Stats) uint64
	}{
		{"in all", func(c *gateway.Config) { c.Limits.Connections = 3 }, func(s gateway.Stats) uint64 { return s.OverLimit }},
		{"per address", func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 3 },
			func(s gateway.Stats) uint64 { return s.OverLimitPerAddress }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ss := newSessions(t)
			s := serve(t, ss.open, tt.change)
			first := dial(t, s, tls.VersionTLS12)
			r := ss.next()
			for range 2 {
				dial(t, s, tls.VersionTLS12)
				ss.next()
			}
			if got := s.Stats(); got.Connections != 3 || got.ConnectionsOfBusiest != 3 {
				t.Errorf("%d connections, %d of the busiest address, want 3", got.Connections, got.ConnectionsOfBusiest)
			}
			fourth := rawDial(t, s)
			if _, err := fourth.Read(make([]byte, 1)); err == nil {
				t.Error("the fourth connection was served")
			}
			if got := tt.over(s.Stats()); got != 1 {
				t.Errorf("%d counted as over the limit, want 1", got)
			}
			first.Close()
			r.closeWhenOver()
			r.waitClosed()
			eventually(t, "there is room", func() bool { return s.Stats().Connections == 2 })
			dial(t, s, tls.VersionTLS12)
		})
	}
}

// TestLingeringMakesRoom: a silent provider that does not end its connection has to give way to a
// new one.
func TestLingeringMakesRoom(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.Connections = 1
		c.Limits.LingerPressed = 50 * time.Millisecond
	})
	dial(t, s, tls.VersionTLS12)
	r := ss.next()
	r.conn.Close()
	eventually(t, "it lingers", func() bool { return s.Stats().Lingering == 1 })
	eventually(t, "another one is served", func() bool {
		c := tls.Client(rawDial(t, s), clientTLS(tls.VersionTLS12))
		return c.Handshake() == nil
	})
	if err := r.waitClosed(); err == nil {
		t.Error("session closed without a reason")
	}
}

// TestNoDescriptors: when none is left, accepting goes on as soon as there is.
func TestNoDescriptors(t *testing.T) {
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	give := takeAllDescriptors(t, 1)
	tcp := rawDial(t, s) // takes the last
	eventually(t, "accept fails", func() bool { return s.Stats().AcceptErrors > 0 })
	give()
	c := tls.Client(tcp, clientTLS(tls.VersionTLS13))
	write(t, c, enhanced(nil, 1, 10))
	c.Close()
	r := ss.next()
	r.closeWhenOver()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, 10)
}

// TestRandomBytes: whatever comes on either port, the port stays, and nothing is left behind (serve
// checks the descriptors, TestMain the goroutines).
func TestRandomBytes(t *testing.T) {
	t.Parallel()
	limits := gateway.Limits{HandshakeTimeout: aHandshake}
	t.Run("push", func(t *testing.T) {
		t.Parallel()
		ss := newSessions(t)
		s := serve(t, ss.open, func(c *gateway.Config) { c.Limits = limits })
		sendRandomBytes(t, s)
		pass(t, s, ss)
		eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
		if got := len(ss.ch); got != 0 {
			t.Errorf("%d sessions were opened", got)
		}
	})
	t.Run("feedback", func(t *testing.T) {
		t.Parallel()
		give, outcomes := give(10)
		s := serveFeedback(t, give, func(c *gateway.FeedbackConfig) { c.Limits = limits })
		sendRandomBytes(t, s)
		eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
		c := dial(t, s, tls.VersionTLS13)
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, tuples(10)) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		c.Close()
		(<-outcomes).check(t, true)
	})
}

func sendRandomBytes(t *testing.T, s interface{ Addr() net.Addr }) {
	hello := clientHello(t)
	rng := newRand(t)
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for range rounds(100, 5_000) {
		for _, b := range [][]byte{
			random(1 + rng.IntN(2000)),
			slices.Concat([]byte{22, 3, 1}, random(1+rng.IntN(2000))),
			slices.Concat(hello[:rng.IntN(len(hello))], random(1+rng.IntN(500))),
			slices.Concat(hello, random(1+rng.IntN(500))),
			slices.Concat([]byte{0x80, 46, 1, 0, 2}, random(43)), // as SSLv2 begins
		} {
			c := rawDial(t, s)
			c.Write(b)
			if rng.IntN(2) == 0 {
				c.CloseWrite()
				io.Copy(io.Discard, c)
			}
			c.Close()
		}
	}
}

// TestRandomRecords: the same after the handshake, below TLS and within it.
func TestRandomRecords(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	rng := newRand(t)
	for i := range rounds(60, 2_000) {
		c := dial(t, s, versions[i%2])
		r := ss.next()
		write(t, c, enhanced(nil, 1, 3))
		b := make([]byte, 1+rng.IntN(3000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if i%4 < 2 {
			c.Write(b)
		} else {
			c.TCP.Write(append([]byte{23, 3, 3, 0, byte(20 + rng.IntN(100))}, b...))
		}
		c.TCP.CloseWrite()
		eventually(t, "the stream ends", func() bool { return r.isOver() || r.isClosed() })
		r.conn.Close()
		r.waitClosed()
		if len(r.frames) < 3 {
			t.Errorf("%d of the frames before were delivered, want 3", len(r.frames))
		}
		c.TCP.Close()
	}
	pass(t, s, ss)
}

// TestShutdown: it waits for the sessions, and no new connection is accepted.
func TestShutdown(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	write(t, c, enhanced(nil, 1, 10))
	r := ss.next()

	brief, cancel := contextFor(20 * time.Millisecond)
	defer cancel()
	if err := s.Shutdown(brief); !errors.Is(err, brief.Err()) || err == nil {
		t.Errorf("Shutdown returned %v with a connection open", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("a connection was accepted behind Shutdown")
	}
	write(t, c, enhanced(nil, 11, 20))
	eventually(t, "it is read on", func() bool { return r.len() == 20 })
	r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, badToken2.Append(nil)) || err != nil {
		t.Errorf("got % x, %v, want the packet", got, err)
	}
	c.Close()
	ample, cancel := contextFor(patience)
	defer cancel()
	if err := s.Shutdown(ample); err != nil {
		t.Error(err)
	}
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
}

// TestShutdownOfStrangers: whoever connects and says nothing has its time for that, but does
// not make a failure of the end.
func TestShutdownOfStrangers(t *testing.T) {
	t.Parallel()
	serveTuples, _ := give(1)
	for name, s := range map[string]interface {
		Addr() net.Addr
		Shutdown(context.Context) error
	}{
		"push":     serve(t, newSessions(t).open, nil),
		"feedback": serveFeedback(t, serveTuples, nil),
	} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		brief, cancel := contextFor(20 * time.Millisecond)
		defer cancel()
		if err := s.Shutdown(brief); err != nil {
			t.Errorf("%s: Shutdown returned %v", name, err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: the stranger reads %d bytes", name, n)
		}
	}
}

// TestCloseEndsAll: connections in every state there is.
func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	hello := clientHello(t)
	ss := newSessions(t)
	full(ss)
	s := serve(t, ss.open, nil)
	var open []*recorder
	connect := func() (*recorder, interface {
		io.Writer
		CloseWrite() error
	}) {
		c := dial(t, s, tls.VersionTLS13)
		r := ss.next()
		open = append(open, r)
		return r, c
	}
	connect() // idle
	_, c := connect()
	write(t, c, enhanced(nil, 1, 1)) // parked
	_, c = connect()
	c.CloseWrite() // half closed
	r, c := connect()
	write(t, c, enhanced(nil, 1, 1))
	r.conn.Close() // lingering, and was parked
	r, _ = connect()
	r.conn.Close() // lingering
	write(t, rawDial(t, s), hello)
	rawDial(t, s)
	eventually(t, "every state is there", func() bool {
		s := s.Stats()
		return s.Parked == 1 && s.HalfClosed == 1 && s.Lingering == 2 && s.Handshakes == 1 && s.AwaitingHello == 1 &&
			s.Connections == 7
	})
	if t.Failed() {
		t.Logf("%+v", s.Stats())
	}
	s.Close()
	for _, r := range open {
		if err := r.waitClosed(); err != gateway.ErrServerClosed {
			t.Errorf("session closed with %v, want ErrServerClosed", err)
		}
		r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second) // does nothing
		r.conn.Resume()
	}
	if got := s.Stats().CutOff; got != 4 {
		t.Errorf("%d connections were cut, want 4: not the one whose provider had ended it", got)
	}
}
