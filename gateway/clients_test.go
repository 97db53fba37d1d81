package gateway_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/gateway"
)

// bySubject names clients by their certificates.
func bySubject(h *gateway.Hello) {
	if len(h.Chain) > 0 {
		h.Client = h.Chain[0].Subject.String()
	} else {
		h.Client = h.Remote.Addr().String()
	}
}

// TestConnectionsPerClient: a client that has reached its bound gets an alert before it can have
// written anything, wherever it comes from, and others are served.
func TestConnectionsPerClient(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		var said log
		ss := newSessions(t)
		s := serve(t, nil, func(c *gateway.Config) {
			c.Limits.ConnectionsPerClient = 2
			c.Logger = zerolog.New(&said)
			c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
				bySubject(h)
				return ss.open, nil
			}
		})
		refused := uint64(0)
		connect := func(tcp net.Conn, certificate tls.Certificate) error {
			config := clientTLS(version)
			config.Certificates = []tls.Certificate{certificate}
			c := tls.Client(tcp, config)
			if err := c.Handshake(); err != nil {
				return err
			}
			if version == tls.VersionTLS12 {
				return nil
			}
			over := func() bool { return s.Stats().OverLimitPerClient > refused }
			eventually(t, "a decision", func() bool { return len(ss.ch) > 0 || over() })
			if !over() {
				return nil
			}
			refused++
			_, err := c.Read(make([]byte, 1)) // TLS 1.3 tells a client only when it reads
			return err
		}
		ours, other := certificates().client, certificates().stranger
		first := rawDial(t, s)
		if err := connect(first, ours); err != nil {
			t.Fatal(err)
		}
		leaving := ss.next()
		if err := connect(dialFrom(t, s, "127.0.0.2"), ours); err != nil {
			t.Fatal(err)
		}
		ss.next()
		if got := s.Stats(); got.ConnectionsOfBusiestClient != 2 || got.ConnectionsOfBusiest != 1 {
			t.Errorf("%d of one client, %d of one address; want 2, 1", got.ConnectionsOfBusiestClient, got.ConnectionsOfBusiest)
		}
		var alert *net.OpError
		if err := connect(dialFrom(t, s, "127.0.0.3"), ours); !errors.As(err, &alert) ||
			!strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("got %v, want the alert", err)
		}
		if err := connect(rawDial(t, s), other); err != nil {
			t.Error("another client: ", err)
		}
		ss.next()
		sum := sha256.Sum256(ours.Certificate[0])
		line := said.line(t, "no room for another connection of this client")
		if got, _ := line["sha256"].(string); got != hex.EncodeToString(sum[:]) ||
			line["connections_per_client"] != 2.0 || !strings.HasPrefix(line["address"].(string), "127.0.0.3:") {
			t.Errorf("the log says %v", line)
		}
		if got := s.Stats(); got.OverLimitPerClient != 1 || got.Refused != 0 {
			t.Errorf("%d over the bound, %d refused; want 1, none", got.OverLimitPerClient, got.Refused)
		}

		first.Close()
		leaving.closeWhenOver()
		leaving.waitClosed()
		eventually(t, "there is room", func() bool { return s.Stats().ConnectionsOfBusiestClient == 1 })
		if err := connect(rawDial(t, s), ours); err != nil {
			t.Error(err)
		}
		ss.next()
	})
}

// TestConnectionsPerClientAtOnce: however many connections come at the same moment, no more than
// the bound have a session.
func TestConnectionsPerClientAtOnce(t *testing.T) {
	t.Parallel()
	const may, come = 3, 30
	ss := newSessions(t)
	s := serve(t, nil, func(c *gateway.Config) {
		c.Limits.ConnectionsPerClient = may
		c.Terminated = loopback
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			bySubject(h)
			return ss.open, nil
		}
	})
	for range come {
		rawDial(t, s)
	}
	eventually(t, "all others are closed", func() bool {
		return s.Stats().OverLimitPerClient == come-may && len(ss.ch) == may
	})
	if got := s.Stats(); got.Terminated != may || got.ConnectionsOfBusiestClient != may {
		t.Errorf("%d admitted, %d counted; want %d", got.Terminated, got.ConnectionsOfBusiestClient, may)
	}
}

// hesitant sends Certificate and ClientKeyExchange, the first two records behind
// its hello, and then nothing until it goes on.
type hesitant struct {
	net.Conn
	writes int
	on     chan struct{}
}

func (h *hesitant) Write(b []byte) (int, error) {
	h.writes++
	if h.writes != 2 {
		return h.Conn.Write(b)
	}
	size := 0
	for range 2 {
		size += 5 + (int(b[size+3])<<8 | int(b[size+4]))
	}
	n, err := h.Conn.Write(b[:size])
	if err != nil {
		return n, err
	}
	<-h.on
	m, err := h.Conn.Write(b[size:])
	return n + m, err
}

// TestStolenCertificateTakesNoPlace: a stranger that shows a client's certificate, without proof
// that it has the key, takes no place from that client.
func TestStolenCertificateTakesNoPlace(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	shown := make(chan struct{}, 2)
	s := serve(t, nil, func(c *gateway.Config) {
		c.Limits.ConnectionsPerClient = 1
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			bySubject(h)
			shown <- struct{}{}
			return ss.open, nil
		}
	})
	wire := &hesitant{Conn: rawDial(t, s), on: make(chan struct{})}
	stolen := make(chan error)
	go func() { stolen <- tls.Client(wire, clientTLS(tls.VersionTLS12)).Handshake() }()
	eventually(t, "the certificate is shown", func() bool { return len(shown) == 1 })
	if err := tls.Client(rawDial(t, s), clientTLS(tls.VersionTLS12)).Handshake(); err != nil {
		t.Error("the client itself: ", err)
	}
	ss.next()
	close(wire.on)
	<-stolen
	eventually(t, "the second is closed", func() bool {
		return s.Stats().OverLimitPerClient == 1 && s.Stats().Connections == 1
	})
	if len(ss.ch) != 0 {
		t.Error("a second session was opened")
	}
}

// TestFeedbackConnectionsPerClient: readers are counted too.
func TestFeedbackConnectionsPerClient(t *testing.T) {
	t.Parallel()
	open, outcomes := give(100_000) // more than a socket holds
	s := serveFeedback(t, open, func(c *gateway.FeedbackConfig) {
		c.Limits.ConnectionsPerClient = 1
		admit := c.Admit
		c.Admit = func(h *gateway.Hello) (gateway.FeedbackOpener, error) {
			bySubject(h)
			return admit(h)
		}
	})
	first := dial(t, s, tls.VersionTLS12)
	eventually(t, "it is counted", func() bool { return s.Stats().ConnectionsOfBusiestClient == 1 })
	if err := tls.Client(rawDial(t, s), clientTLS(tls.VersionTLS12)).Handshake(); err == nil {
		t.Error("a second reader was admitted")
	}
	if _, err := io.Copy(io.Discard, first); err != nil {
		t.Error(err)
	}
	first.Close()
	(<-outcomes).check(t, true)
	eventually(t, "there is room", func() bool { return s.Stats().ConnectionsOfBusiestClient == 0 })
	again := dial(t, s, tls.VersionTLS12)
	if _, err := io.Copy(io.Discard, again); err != nil {
		t.Error(err)
	}
	again.Close()
	(<-outcomes).check(t, true)
}
