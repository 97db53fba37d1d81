package gateway_test

import (
	"crypto/tls"
	"net"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// ending is a session that ends our side as soon as the provider has ended its own.
type ending struct{ *recorder }

func (e ending) Shutdown(heard bool) {
	e.recorder.Shutdown(heard)
	e.conn.Close()
}

// serveBriefly is a server that takes any connection for a brief one until it shows that it is
// not. The server has already had one connection.
func serveBriefly(t *testing.T, open gateway.Opener, change ...func(*gateway.Config)) *gateway.Server {
	t.Helper()
	first := make(chan *recorder, 1)
	s := serve(t, func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
		if len(first) == cap(first) {
			return open(c)
		}
		r := newRecorder(t, c)
		first <- r
		return ending{r}, binproto.DefaultParser()
	}, func(c *gateway.Config) {
		c.ReadBriefly(2 * patience)
		for _, f := range change {
			f(c)
		}
	})
	c := dial(t, s, tls.VersionTLS12)
	if err := c.TCP.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := <-first
	first <- r
	if err := r.waitClosed(); err != nil || !r.conn.OnLoop() {
		t.Fatalf("the first connection closed with %v, on a loop: %v", err, r.conn.OnLoop())
	}
	return s
}

// TestBrief: a connection that ends soon is read to its end without a loop, and
// what its session is told is the same.
func TestBrief(t *testing.T) {
	t.Parallel()
	endings := map[string]func(c *provider.Conn) error{
		"close_notify":         (*provider.Conn).CloseWrite,
		"close_notify and FIN": (*provider.Conn).Close,
		"FIN":                  func(c *provider.Conn) error { return c.TCP.CloseWrite() },
	}
	for name, end := range endings {
		for _, later := range []bool{false, true} {
			if later && name == "close_notify" {
				continue // only a FIN tells us that no more has to be read
			}
			t.Run(name, func(t *testing.T) {
				ss := newSessions(t)
				s := serveBriefly(t, func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
					session, parser := ss.open(c)
					if later {
						return session, parser
					}
					return ending{session.(*recorder)}, parser
				})
				c := dial(t, s, tls.VersionTLS12)
				write(t, c, enhanced(nil, 1, 3))
				if err := end(c); err != nil {
					t.Fatal(err)
				}
				r := ss.next()
				if later {
					eventually(t, "the connection waits for its session", func() bool { return s.Stats().HalfClosed == 1 })
					r.conn.Close()
				}
				if err := r.waitClosed(); err != nil {
					t.Errorf("the session closed with %v", err)
				}
				r.wantNumbers(1, 3)
				if r.conn.OnLoop() {
					t.Error("a loop watched the connection")
				}
			})
		}
	}
}

// TestBriefBreaks: what came before a reset is delivered, and the reset told and counted.
func TestBriefBreaks(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serveBriefly(t, ss.open)
	c := dial(t, s, tls.VersionTLS12)
	write(t, c, enhanced(nil, 1, 3))
	r := ss.next()
	eventually(t, "the frames have come", func() bool { return r.len() == 3 })
	c.Abort()
	if err := r.waitClosed(); err == nil {
		t.Error("the session's connection ended in order")
	}
	if got := s.Stats().Resets; got != 1 || r.conn.OnLoop() {
		t.Errorf("%d resets, on a loop: %v, want one, and none", got, r.conn.OnLoop())
	}
}

// TestBriefWithoutRoom: a connection that has to wait for room waits as it would on a loop.
func TestBriefWithoutRoom(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	full(ss)
	s := serveBriefly(t, ss.open)
	c := dial(t, s, tls.VersionTLS12)
	write(t, c, enhanced(nil, 1, 100))
	eventually(t, "the connection is parked", func() bool { return s.Stats().Parked == 1 })
	r := ss.next()
	if got := r.len(); got != 1 {
		t.Errorf("%d frames were given to a session without room", got)
	}
	r.conn.Resume()
	c.Close()
	r.closeWhenOver()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, 100)
}

// TestBriefUntilMuchComes: a provider that writes one frame after another soon gets a loop.
func TestBriefUntilMuchComes(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serveBriefly(t, ss.open)
	c := dial(t, s, tls.VersionTLS12)
	r := ss.next()
	last := 0
	for !r.conn.OnLoop() && last < 1_000_000 {
		write(t, c, enhanced(nil, last+1, last+1000))
		last += 1000
	}
	if !r.conn.OnLoop() {
		t.Errorf("no loop behind %d frames", last)
	}
	c.Close()
	r.closeWhenOver()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, last)
}

// TestBriefsFull: as many connections are read without a loop at a time as handshakes may run,
// and no more.
func TestBriefsFull(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serveBriefly(t, ss.open, func(c *gateway.Config) { c.Limits.Handshakes = 1 })
	for _, onLoop := range []bool{false, true} {
		c := dial(t, s, tls.VersionTLS12)
		write(t, c, enhanced(nil, 1, 3))
		r := ss.next()
		eventually(t, "the frames have come", func() bool { return r.len() == 3 })
		if r.conn.OnLoop() != onLoop {
			t.Errorf("on a loop: %v, want %v", !onLoop, onLoop)
		}
	}
}

// TestEarlyArrivals: silent connections do not keep goroutines of the crew from others, and one
// that waited there is no longer counted once it is gone.
func TestEarlyArrivals(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	var silent []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	eventually(t, "all wait for hellos", func() bool { return s.Stats().AwaitingHello == 100 })
	c := dial(t, s, tls.VersionTLS12)
	write(t, c, enhanced(nil, 1, 3))
	r := ss.next()
	eventually(t, "the frames have come", func() bool { return r.len() == 3 })
	for _, c := range silent {
		c.Close()
	}
	eventually(t, "none of the silent is counted", func() bool { return s.Early() == 0 })
}
