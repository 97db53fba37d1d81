package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
)

// clearAlerts is the wire of a client that says in the clear what it has against a
// certificate, as OpenSSL does in TLS 1.3: all that it writes behind its hello is
// replaced.
type clearAlerts struct {
	net.Conn
	greeted bool
	instead [][]byte // written one by one
}

func (c *clearAlerts) Write(b []byte) (int, error) {
	if !c.greeted {
		c.greeted = true
		return c.Conn.Write(b)
	}
	for _, piece := range c.instead {
		if _, err := c.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	c.instead = nil
	return len(b), nil
}

// trusting is a client that trusts one certificate alone.
func trusting(c *tls.Certificate) *tls.Config {
	config := clientTLS(tls.VersionTLS12)
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AddCert(c.Leaf)
	return config
}

// foreign is a client that trusts no certificate.
func foreign(version uint16) *tls.Config {
	config := clientTLS(version)
	config.RootCAs = x509.NewCertPool()
	return config
}

// renamed is a client that connects to another name.
func renamed(version uint16, name string) *tls.Config {
	config := clientTLS(version)
	config.ServerName = name
	return config
}

// shown has a port show one certificate.
func shown(c *tls.Certificate) func(*gateway.Port) {
	return func(p *gateway.Port) {
		p.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, nil }
	}
}

// over does a handshake; instead is what is sent in the place of alerts.
func over(config *tls.Config, instead ...string) func(net.Conn) {
	return func(c net.Conn) {
		var pieces [][]byte
		for _, piece := range instead {
			pieces = append(pieces, []byte(piece))
		}
		if pieces != nil {
			c = &clearAlerts{Conn: c, instead: pieces}
		}
		tls.Client(c, config).Handshake()
	}
}

// distrust is a client that ends its handshake because of our certificate, and what is said of it.
type distrust struct {
	name           string
	say            func(net.Conn)
	change         func(*gateway.Port)
	reason, remedy string
	level          string
}

func (d distrust) run(t *testing.T) {
	var said log
	told := make(chan string, 1)
	s := serve(t, nil, func(c *gateway.Config) {
		c.Logger = zerolog.New(&said)
		c.Failed = func(_ *gateway.Hello, reason, remedy string) { told <- reason + " " + remedy }
		if d.change != nil {
			d.change(&c.Port)
		}
	})
	c := rawDial(t, s)
	d.say(c)
	c.CloseWrite()
	line := said.line(t, "handshake failed")
	if d.level == "warn" {
		if got, want := <-told, fmt.Sprintf("%s %s", line["reason"], line["remedy"]); got != want {
			t.Errorf("the operator is told %q, want %q", got, want)
		}
	} else if len(told) > 0 {
		t.Errorf("the operator is told %q", <-told)
	}
	for field, want := range map[string]string{"reason": d.reason, "remedy": d.remedy, "level": d.level,
		"address": "127.0.0.1:"} {
		if got, _ := line[field].(string); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", field, got, want)
		}
	}
	want := uint64(1)
	if d.reason == "did not say why" {
		want = 0
	}
	if s := s.Stats(); s.Mistrusted != want || s.HandshakesFailed != 1 {
		t.Errorf("%d mistrusted of %d failed, want %d of 1", s.Mistrusted, s.HandshakesFailed, want)
	}
}

// TestMistrusted: a provider that does not trust our certificate is a warning that
// says so and what to do, whatever the TLS version and however the provider says
// it, on both ports.
func TestMistrusted(t *testing.T) {
	t.Parallel()
	now := time.Now()
	expired := issued(t, devpki.ClientOptions{Topic: "x", NotBefore: now.AddDate(-2, 0, 0),
		NotAfter: now.AddDate(-1, 0, 0)})
	early := issued(t, devpki.ClientOptions{Topic: "x", NotBefore: now.AddDate(1, 0, 0), NotAfter: now.AddDate(2, 0, 0)})
	const ccs, alert = "\x14\x03\x03\x00\x01\x01", "\x15\x03\x03\x00\x02\x02"
	for _, tt := range []distrust{
		{"unknown authority, TLS 1.2", over(foreign(tls.VersionTLS12)), nil, "does not know who signed it", "certs init",
			"warn"},
		{"unknown authority, TLS 1.3", over(foreign(tls.VersionTLS13)), nil, "does not know who signed it", "certs init",
			"warn"},
		{"in the clear", over(foreign(tls.VersionTLS13), alert+"\x30"), nil, "does not know who signed it", "certs init",
			"warn"},
		{"in the clear, unknown", over(foreign(tls.VersionTLS13), alert+"\x2e"), nil, "does not know who signed it",
			"certs init", "warn"},
		{"in the clear, behind a change of ciphers", over(foreign(tls.VersionTLS13), ccs+alert+"\x2a"), nil,
			"does not know", "certs init", "warn"},
		{"in the clear, in pieces", over(foreign(tls.VersionTLS13), ccs, alert[:1], alert[1:4], alert[4:], "\x30"), nil,
			"does not know", "certs init", "warn"},
		{"in the clear, another failure", over(foreign(tls.VersionTLS13), alert+"\x28"), nil, "does not know",
			"certs init", "warn"},
		{"in the clear, an old kind of key", over(foreign(tls.VersionTLS13), alert+"\x2b"), nil, "kind of key", "RSA",
			"warn"},
		{"in the clear, revoked", over(foreign(tls.VersionTLS13), alert+"\x2c"), nil, "revoked", "certs server", "warn"},
		{"in the clear, expired there", over(foreign(tls.VersionTLS13), alert+"\x2d"), nil, "for expired", "clock", "warn"},
		{"a name that it lacks, TLS 1.2", over(renamed(tls.VersionTLS12, "push.example.com")), nil,
			`asked for "push.example.com"`, "certs server --host", "warn"},
		{"a name that it lacks, TLS 1.3", over(renamed(tls.VersionTLS13, "push.example.com")), nil,
			`asked for "push.example.com"`, "certs server --host", "warn"},
		{"expired", over(trusting(expired)), shown(expired), "it has expired on", "certs renew", "warn"},
		{"not yet valid", over(trusting(early)), shown(early), "good only from", "clock", "warn"},
		{"gone without a word", over(foreign(tls.VersionTLS13), ""), nil, "did not say why", "may not trust", "warn"},
		{"gone without a word", over(renamed(tls.VersionTLS13, "push.example.com"), ""), nil, "did not say why",
			"may not trust", "info"},
		{"gone with a farewell", over(foreign(tls.VersionTLS12), "\x15\x03\x03\x00\x02\x01\x00"), nil, "did not say why",
			"may not trust", "warn"},
	} {
		t.Run(tt.name, tt.run)
	}
}

// issued is a certificate signed by our own authority, with its leaf parsed.
func issued(t *testing.T, options devpki.ClientOptions) *tls.Certificate {
	t.Helper()
	pair, err := certificates().pki.Issue(options)
	must(err)
	c, err := pair.TLS()
	must(err)
	return &c
}

// What has nothing to do with trust is no mistrust.
func TestNotMistrusted(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(net.Conn){
		"gone before a hello": func(net.Conn) {},
		"an alert for a hello": func(c net.Conn) {
			io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x30")
		},
		"another alert": func(c net.Conn) {
			tls.Client(&clearAlerts{Conn: c, instead: [][]byte{[]byte("\x15\x03\x03\x00\x02\x02\x46")}},
				&tls.Config{ServerName: "x"}).Handshake()
		},
		"garbage behind the hello": func(c net.Conn) {
			tls.Client(&clearAlerts{Conn: c, instead: [][]byte{bytes.Repeat([]byte("\x17\x03\x03\x00\x01x"), 3)}},
				&tls.Config{ServerName: "x"}).Handshake()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, nil)
			c := rawDial(t, s)
			say(c)
			c.CloseWrite()
			io.Copy(io.Discard, c)
			eventually(t, "the failure", func() bool { return s.Stats().HandshakesFailed == 1 })
			if got := s.Stats().Mistrusted; got != 0 {
				t.Errorf("%d mistrusted", got)
			}
		})
	}
}

// Whoever does not trust us comes again and again: the log says so ten times a
// minute.
func TestMistrustedIsBounded(t *testing.T) {
	t.Parallel()
	const times = 40
	var said log
	open, _ := give(0)
	s := serveFeedback(t, open, func(c *gateway.FeedbackConfig) { c.Logger = zerolog.New(&said) })
	began := time.Now()
	for range times {
		c := rawDial(t, s)
		config := clientTLS(tls.VersionTLS12)
		config.RootCAs = x509.NewCertPool()
		tls.Client(c, config).Handshake()
		c.Close()
	}
	eventually(t, "all are counted", func() bool { return s.Stats().Mistrusted == times })
	said.mu.Lock()
	defer said.mu.Unlock()
	most := 11 + int(time.Since(began)/(6*time.Second))
	if n := strings.Count(said.buf.String(), "does not trust"); n == 0 || n > most {
		t.Errorf("%d lines", n)
	}
}

// OpenSSL's own words, in all versions of TLS.
func TestMistrustedByOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			var said log
			s := serve(t, nil, func(c *gateway.Config) { c.Logger = zerolog.New(&said) })
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, openssl, "s_client", version, "-verify_return_error", "-connect",
				s.Addr().String()).CombinedOutput()
			if err == nil {
				t.Fatalf("openssl trusts us: %s", out)
			}
			line := said.line(t, "handshake failed")
			if got, _ := line["reason"].(string); !strings.Contains(got, "does not trust the gateway's certificate") {
				t.Errorf("got %v", line)
			}
		})
	}
}
