package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// log is what a server has said.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) line(t *testing.T, message string) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, "a line about "+message, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for line := range bytes.Lines(l.buf.Bytes()) {
			if fields := map[string]any{}; json.Unmarshal(line, &fields) == nil &&
				strings.Contains(fields["message"].(string), message) {
				found = fields
				return true
			}
		}
		return false
	})
	return found
}

// TestRefused: a refused client gets an alert at once, and the log says who it
// was and why.
func TestRefused(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		var said log
		s := serve(t, nil, func(c *gateway.Config) {
			c.Logger = zerolog.New(&said)
			c.Admit = func(*gateway.Hello) (gateway.Opener, error) {
				return nil, errors.New("pin the certificate under apps.mail.clients")
			}
		})
		config := clientTLS(version)
		config.Certificates = []tls.Certificate{certificates().stranger}
		c := tls.Client(rawDial(t, s), config)
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		var alert tls.AlertError
		if !errors.As(err, &alert) && !strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("got %v, want the alert", err)
		}
		line := said.line(t, "client refused")
		if got, _ := line["sha256"].(string); len(got) != 64 {
			t.Errorf("sha256 is %q", got)
		}
		for field, want := range map[string]string{
			"subject":  "com.example.stranger",
			"address":  "127.0.0.1:",
			"listener": "production",
			"reason":   "pin the certificate under apps.mail.clients",
		} {
			if got, _ := line[field].(string); !strings.Contains(got, want) {
				t.Errorf("%s is %q, want %q in it", field, got, want)
			}
		}
		eventually(t, "it is counted", func() bool { return s.Stats().Refused == 1 })
	})
}

// TestHello: what Admit is told.
func TestHello(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		hellos := make(chan gateway.Hello, 10)
		s := serve(t, nil, func(c *gateway.Config) {
			c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
				hellos <- *h
				return ss.open, nil
			}
		})
		c := dial(t, s, version)
		h := <-hellos
		if len(h.Chain) == 0 || !strings.Contains(h.Chain[0].Subject.String(), "com.example.demo") {
			t.Errorf("chain of %d certificates, want the client's", len(h.Chain))
		}
		if h.Remote.String() != c.LocalAddr().String() || h.Label != "production" ||
			h.ServerName != "gateway.push.apple.com" {
			t.Errorf("got %v, %q, %q", h.Remote, h.Label, h.ServerName)
		}
		if h.Version != version || h.Cipher != c.ConnectionState().CipherSuite || h.Resumed {
			t.Errorf("got %s, %s, resumed %v", tls.VersionName(h.Version), tls.CipherSuiteName(h.Cipher), h.Resumed)
		}
		if len(h.OfferedVersions) != 1 || h.OfferedVersions[0] != version || len(h.OfferedCiphers) == 0 {
			t.Errorf("offered %v and %v", h.OfferedVersions, h.OfferedCiphers)
		}

		config := clientTLS(version)
		config.Certificates = nil
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(r.AcceptableCAs) != 0 {
				t.Errorf("asked for %d authorities, want none named", len(r.AcceptableCAs))
			}
			return new(tls.Certificate), nil
		}
		if err := tls.Client(rawDial(t, s), config).Handshake(); err != nil {
			t.Error("without a certificate: ", err)
		}
		if h := <-hellos; len(h.Chain) != 0 {
			t.Errorf("chain of %d certificates, want none", len(h.Chain))
		}
	})
}

// TestHelloIsOnesOwn: of many handshakes at a time, each is told apart.
func TestHelloIsOnesOwn(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	var told sync.Map // address to the server name it asked for
	s := serve(t, nil, func(c *gateway.Config) {
		c.Limits.HandshakesPerAddress = 8
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			told.Store(h.Remote.String(), h.ServerName)
			return ss.open, nil
		}
	})
	const clients, times = 8, 10
	var running sync.WaitGroup
	for i := range clients {
		raw := make([]net.Conn, times)
		for n := range raw {
			raw[n] = rawDial(t, s)
		}
		running.Go(func() {
			config := clientTLS(versions[i%len(versions)])
			config.InsecureSkipVerify = true // the name is not the certificate's
			config.ServerName = fmt.Sprintf("client-%d.example.com", i)
			for _, c := range raw {
				if err := tls.Client(c, config).Handshake(); err != nil {
					t.Error(err)
					continue
				}
				eventually(t, "the client is admitted", func() bool { _, ok := told.Load(c.LocalAddr().String()); return ok })
				if name, _ := told.Load(c.LocalAddr().String()); name != config.ServerName {
					t.Errorf("%s is known as %v", config.ServerName, name)
				}
			}
		})
	}
	running.Wait()
}

// TestTickets: TLS 1.2 resumes, and Admit decides again; TLS 1.3 has none.
func TestTickets(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		var mu sync.Mutex
		refuse, resumed := false, false
		s := serve(t, nil, func(c *gateway.Config) {
			c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
				mu.Lock()
				defer mu.Unlock()
				resumed = h.Resumed && len(h.Chain) > 0
				if refuse {
					return nil, errors.New("no longer")
				}
				return ss.open, nil
			}
		})
		config := clientTLS(version)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		connect := func() error {
			c := tls.Client(rawDial(t, s), config)
			if err := c.Handshake(); err != nil {
				return err
			}
			r := ss.next()
			r.conn.Close()
			_, err := io.ReadAll(c) // a ticket would be read here
			c.Close()
			r.waitClosed()
			return err
		}
		for range 2 {
			if err := connect(); err != nil {
				t.Fatal(err)
			}
		}
		if resumed != (version == tls.VersionTLS12) {
			t.Errorf("resumed: %v", resumed)
		}
		if _, cached := config.ClientSessionCache.Get("gateway.push.apple.com"); cached != (version == tls.VersionTLS12) {
			t.Errorf("the client has a ticket: %v", cached)
		}
		if version == tls.VersionTLS12 {
			mu.Lock()
			refuse = true
			mu.Unlock()
			if err := connect(); err == nil {
				t.Error("a client that is no longer admitted resumed its session")
			}
		}
	})
}

// TestStolenCertificate: Admit sees a chain before the client has proven that it
// has the key; no session is opened until it has.
func TestStolenCertificate(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		config := clientTLS(version)
		config.Certificates[0].PrivateKey = certificates().stranger.PrivateKey
		c := tls.Client(rawDial(t, s), config)
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil || err == io.EOF {
			t.Errorf("got %v, want an alert", err)
		}
		eventually(t, "it is counted", func() bool { return s.Stats().HandshakesFailed == 1 })
		if len(ss.ch) != 0 {
			t.Error("a session was opened")
		}
	})
}

// TestOldTLS: what is off by default, and what the settings admit.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	old := func(c *gateway.Config) { c.MinVersion = tls.VersionTLS10 }
	ciphers := func(c *gateway.Config) { c.LegacyCiphers = true }
	tests := []struct {
		name    string
		version uint16
		cipher  uint16
		change  func(*gateway.Config)
		ok      bool
	}{
		{"TLS 1.0", tls.VersionTLS10, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, nil, false},
		{"TLS 1.1", tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, nil, false},
		{"TLS 1.0 by setting", tls.VersionTLS10, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, old, true},
		{"TLS 1.1 by setting", tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, old, true},
		{"RSA key exchange", tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA, nil, false},
		{"RSA key exchange by setting", tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA, ciphers, true},
		{"3DES by setting", tls.VersionTLS12, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, ciphers, true},
		{"RC4 never", tls.VersionTLS12, tls.TLS_RSA_WITH_RC4_128_SHA, ciphers, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ss := newSessions(t)
			s := serve(t, ss.open, tt.change)
			config := clientTLS(tt.version)
			config.CipherSuites = []uint16{tt.cipher}
			c := tls.Client(rawDial(t, s), config)
			if err := c.Handshake(); (err == nil) != tt.ok {
				t.Fatalf("got %v, want success: %v", err, tt.ok)
			}
			if !tt.ok {
				return
			}
			for _, b := range enhanced(nil, 1, 20) { // each a record, with TLS 1.0 and CBC two
				write(t, c, []byte{b})
			}
			r := ss.next()
			eventually(t, "all frames", func() bool { return r.len() == 20 })
			r.wantNumbers(1, 20)
			r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
			got := make([]byte, binproto.ResponseSize)
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, badToken2.Append(nil)) {
				t.Errorf("got % x, %v", got, err)
			}
			if got := s.Stats(); got.Admitted[tt.version] != 1 || got.Open[tt.version] != 1 {
				t.Errorf("connections by version: open %v, admitted %v", got.Open, got.Admitted)
			}
			wantEOF(t, c)
			c.Close()
			if err := r.waitClosed(); err != nil {
				t.Error(err)
			}
			eventually(t, "it is no longer counted as open", func() bool { return s.Stats().Open[tt.version] == 0 })
		})
	}
}

// TestCertificateIsAskedFor: a new certificate is used for the next connection.
func TestCertificateIsAskedFor(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	var mu sync.Mutex
	present := certificates().server
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			now := present
			return &now, nil
		}
	})
	serial := func() string {
		config := clientTLS(tls.VersionTLS12)
		config.InsecureSkipVerify = true
		c, err := provider.Dial(context.Background(), s.Addr().String(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.String()
	}
	first := serial()
	mu.Lock()
	present = certificates().stranger
	mu.Unlock()
	if second := serial(); first == second {
		t.Errorf("still the certificate of %s", first)
	}
}
