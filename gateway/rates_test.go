package gateway_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/gateway"
)

// dialFrom connects from another of the loopback's addresses.
func dialFrom(t *testing.T, s interface{ Addr() net.Addr }, from string) *net.TCPConn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Skipf("this machine has no address %s on loopback: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// TestHandshakeRateDelays: what is over the rate waits, and is served.
func TestHandshakeRateDelays(t *testing.T) {
	t.Parallel()
	const per = 200 * time.Millisecond
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.HandshakeRatePerAddress = pace.Rate{Count: 1, Per: per}
	})
	began, shaken := time.Now(), 0
	eventually(t, "one was delayed", func() bool { // by the first two, if the machine is not busy
		done := make(chan error)
		for range 2 {
			c := tls.Client(rawDial(t, s), clientTLS(tls.VersionTLS13))
			go func() { done <- c.Handshake() }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
			ss.next()
			shaken++
		}
		return s.Stats().HandshakesDelayed > 0
	})
	if took, least := time.Since(began), time.Duration(shaken-1)*per; took < least {
		t.Errorf("%d handshakes took %v, want %v at least", shaken, took, least)
	}
	if got := s.Stats(); got.HandshakesOverRate != 0 || got.HandshakesDone != uint64(shaken) || got.AddressesPaced != 1 {
		t.Errorf("got %+v, want all %d done, of one address", got.PortStats, shaken)
	}
}

// TestHandshakeRateRefuses: a connection that would have to wait for too long is closed at once, and
// the log names the setting; other addresses are not affected.
func TestHandshakeRateRefuses(t *testing.T) {
	t.Parallel()
	var said log
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.HandshakeRatePerAddress = pace.Rate{Count: 3, Per: time.Hour}
		c.Logger = zerolog.New(&said)
	})
	for range 3 {
		dial(t, s, tls.VersionTLS12)
		ss.next()
	}
	for range 5 {
		c := rawDial(t, s)
		if err := tls.Client(c, clientTLS(tls.VersionTLS12)).Handshake(); err != io.EOF {
			t.Errorf("got %v, want the end", err)
		}
	}
	line := said.line(t, "handshake refused")
	if got, _ := line["error"].(string); !strings.Contains(got, "handshake_rate_per_address") {
		t.Errorf("the log says %q", got)
	}
	if err := tls.Client(dialFrom(t, s, "127.0.0.2"), clientTLS(tls.VersionTLS12)).Handshake(); err != nil {
		t.Error("from another address: ", err)
	}
	eventually(t, "all are counted", func() bool {
		s := s.Stats()
		return s.HandshakesOverRate == 5 && s.HandshakesDone == 4 && s.HandshakesDelayed == 0 && s.AddressesPaced == 2
	})
}

// TestFeedbackRate: a client that reads too often is closed in an orderly way without a tuple, and
// another is served.
func TestFeedbackRate(t *testing.T) {
	t.Parallel()
	var said log
	open, outcomes := give(10)
	s := serveFeedback(t, open, func(c *gateway.FeedbackConfig) {
		c.Limits.FeedbackRatePerClient = pace.Rate{Count: 2, Per: time.Hour}
		c.Logger = zerolog.New(&said)
		admit := c.Admit
		c.Admit = func(h *gateway.Hello) (gateway.FeedbackOpener, error) {
			bySubject(h)
			return admit(h)
		}
	})
	read := func(certificate tls.Certificate) []byte {
		config := clientTLS(tls.VersionTLS13)
		config.Certificates = []tls.Certificate{certificate}
		c := tls.Client(rawDial(t, s), config)
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	ours, other := certificates().client, certificates().stranger
	for i, want := range [][]byte{tuples(10), tuples(10), nil, nil, nil} {
		if got := read(ours); !bytes.Equal(got, want) {
			t.Errorf("read %d gives %d bytes, want %d", i, len(got), len(want))
		}
	}
	if got := read(other); !bytes.Equal(got, tuples(10)) {
		t.Errorf("another client gets %d bytes", len(got))
	}
	for range 3 {
		(<-outcomes).check(t, true)
	}
	line := said.line(t, "reads its feedback too often")
	if got, _ := line["subject"].(string); !strings.Contains(got, "com.example.demo") ||
		line["limit"] != "feedback_rate_per_client" {
		t.Errorf("the log says %v", line)
	}
	eventually(t, "all are counted", func() bool {
		s := s.Stats()
		return s.TooOften == 3 && s.Confirmed == 3 && s.ClientsPaced == 2 && s.Connections == 0
	})
}
