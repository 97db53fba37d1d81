package gateway_test

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"apnsbridge/gateway"
)

// TestSlowAnswer: a handshake does not lose its place to others for the time that we take
// to answer its hello.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	const giveWay = 100 * time.Millisecond
	ss := newSessions(t)
	var s *gateway.Server
	var slow atomic.Bool
	asked := make(chan struct{})
	s = serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.Handshakes, c.Limits.HandshakeTimeout = 1, aHandshake
		certificate := c.Certificate
		c.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if slow.CompareAndSwap(true, false) {
				close(asked)
				eventually(t, "another waits", func() bool { return s.Stats().HandshakesWaiting == 1 })
				time.Sleep(2 * giveWay)
				s.GiveWayAfter(patience) // its client has all the time that it needs
			}
			return certificate(h)
		}
	})
	s.GiveWayAfter(giveWay)
	slow.Store(true)
	errs := make(chan error, 2)
	handshake := func() {
		c, err := tls.Dial("tcp", s.Addr().String(), clientTLS(tls.VersionTLS12))
		if err == nil {
			c.Close()
		}
		errs <- err
	}
	go handshake()
	<-asked
	go handshake()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := s.Stats().HandshakesDropped; got != 0 {
		t.Errorf("%d handshakes were dropped", got)
	}
}

// TestAnsweredStays: a client whose answer has come believes with TLS 1.3 that it is
// connected, and writes. It gives way to no other, however long we take to go on.
func TestAnsweredStays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*gateway.Limits)
		others func(t *testing.T, s *gateway.Server)
	}{
		{"among the handshakes", func(l *gateway.Limits) { l.Handshakes = 2 }, func(t *testing.T, s *gateway.Server) {
			write(t, rawDial(t, s), clientHello(t))
			eventually(t, "one that stalls has a place", func() bool { return s.Stats().Handshakes == 2 })
			dial(t, s, tls.VersionTLS12)
			if got := s.Stats().HandshakesDropped; got != 1 {
				t.Errorf("%d handshakes were dropped, want the one that stalls", got)
			}
		}},
		{"of its address", func(l *gateway.Limits) { l.ConnectionsPerAddress = 1 }, func(t *testing.T, s *gateway.Server) {
			if c, err := tls.Dial("tcp", s.Addr().String(), clientTLS(tls.VersionTLS13)); err == nil {
				c.Close()
				t.Error("there is room for one more of its address")
			}
		}},
		{"among all", func(l *gateway.Limits) { l.Connections = 1 }, func(t *testing.T, s *gateway.Server) {
			if c, err := tls.Dial("tcp", s.Addr().String(), clientTLS(tls.VersionTLS13)); err == nil {
				c.Close()
				t.Error("there is room for one more")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, others := newSessions(t), newSessions(t)
			var first atomic.Bool
			decide := make(chan struct{})
			s := serve(t, others.open, func(c *gateway.Config) {
				tt.change(&c.Limits)
				c.Admit = func(*gateway.Hello) (gateway.Opener, error) {
					if first.CompareAndSwap(false, true) {
						<-decide
						return ours.open, nil
					}
					return others.open, nil
				}
			})
			s.ComputeAtATime(2) // also on a machine with one processor, as the first does not leave its own
			release := sync.OnceFunc(func() { close(decide) })
			defer release()
			c := dial(t, s, tls.VersionTLS13)
			write(t, c, enhanced(nil, 1, 5))
			eventually(t, "its answer has come", first.Load)
			tt.others(t, s)
			release()
			r := ours.next()
			eventually(t, "its frames have come", func() bool { return r.len() == 5 })
			r.wantNumbers(1, 5)
		})
	}
}

// lateClient answers our hello only once it may.
type lateClient struct {
	net.Conn
	writes int
	answer <-chan struct{}
}

func (c *lateClient) Write(b []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		<-c.answer
	}
	return c.Conn.Write(b)
}

// TestAnswersTooLate: a client that answers after its place was given to another is reset. So it
// learns that what it writes is not read.
func TestAnswersTooLate(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, func(c *gateway.Config) {
			c.Limits.Handshakes, c.Limits.HandshakeTimeout = 1, aHandshake
		})
		answer := make(chan struct{})
		late := tls.Client(&lateClient{Conn: rawDial(t, s), answer: answer}, clientTLS(version))
		shaken := make(chan error, 1)
		go func() { shaken <- late.Handshake() }()
		eventually(t, "it has the place", func() bool { return s.Stats().Handshakes == 1 })
		pass(t, s, ss)
		close(answer)
		err := <-shaken
		if version == tls.VersionTLS13 {
			if err != nil {
				t.Fatalf("with TLS 1.3 it is connected, as it believes: %v", err)
			}
			_, err = late.Read(make([]byte, 1))
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
		if got := s.Stats().HandshakesDropped; got != 1 {
			t.Errorf("%d handshakes were dropped, want 1", got)
		}
	})
}
