package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

// sslv2Hello is a client's first message in SSLv2's form (RFC 6101, appendix E),
// which offers the version.
func sslv2Hello(major, minor byte) []byte {
	hello := []byte{0x80, 0, 1, major, minor, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 0, 0, 0x0a}
	hello = append(hello, bytes.Repeat([]byte{7}, 16)...)
	hello[1] = byte(len(hello) - 2)
	return hello
}

// sslv3Hello is a ClientHello that offers nothing newer.
func sslv3Hello() []byte {
	body := slices.Concat([]byte{3, 0}, make([]byte, 32), []byte{0, 0, 2, 0, 0x2f, 1, 0})
	return slices.Concat([]byte{22, 3, 0, 0, byte(4 + len(body)), 1, 0, 0, byte(len(body))}, body)
}

// TestLanguages: for a client that does not speak TLS, or no version of it that is admitted, the
// log says what it speaks and what can be done about it.
func TestLanguages(t *testing.T) {
	t.Parallel()
	offer := func(version uint16, ciphers ...uint16) func(io.ReadWriter) {
		return func(c io.ReadWriter) {
			config := clientTLS(version)
			config.CipherSuites = ciphers
			tls.Client(c.(net.Conn), config).Handshake()
		}
	}
	say := func(b []byte) func(io.ReadWriter) {
		return func(c io.ReadWriter) { c.Write(b) }
	}
	tests := []struct {
		name           string
		say            func(io.ReadWriter)
		change         func(*gateway.Config)
		speaks, remedy string // parts of it
		older, without uint64
	}{
		{"SSLv2", say(sslv2Hello(0, 2)), nil, "SSLv2", "tls.terminated", 1, 0},
		{"TLS 1.0 in SSLv2's form", say(sslv2Hello(3, 1)), nil, "SSLv2", "switch SSLv2 off", 1, 0},
		{"SSLv3", say(sslv3Hello()), nil, "SSLv3", "tls.terminated", 1, 0},
		{"enhanced frame", say(enhanced(nil, 1, 1)), nil, "frames", "switch TLS on", 0, 1},
		{"simple frame", say([]byte("\x00\x00\x20")), nil, "frames", "tls.terminated", 0, 1},
		{"HTTP/1", say([]byte("GET / HTTP/1.1\r\n\r\n")), nil, "HTTP", "binary interface", 0, 1},
		{"HTTP/2", say([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), nil, "HTTP", "binary interface", 0, 1},
		{"PROXY, version 1", say([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n")), nil, "PROXY", "switch it off", 0, 1},
		{"PROXY, version 2", say([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")), nil, "PROXY", "switch it off", 0, 1},
		{"TLS 1.0", offer(tls.VersionTLS10), nil, "TLS 1.0", `tls.min_version: "1.0"`, 0, 0},
		{"TLS 1.1", offer(tls.VersionTLS11), nil, "TLS 1.1", `tls.min_version: "1.1"`, 0, 0},
		{"RSA key exchange", offer(tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA), nil, "old ciphers",
			"tls.legacy_ciphers", 0, 0},
		{"RC4", offer(tls.VersionTLS12, tls.TLS_RSA_WITH_RC4_128_SHA), func(c *gateway.Config) { c.LegacyCiphers = true },
			"does not know", "tls.terminated", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var said log
			ss := newSessions(t)
			told := make(chan string, 1)
			s := serve(t, ss.open, func(c *gateway.Config) {
				c.Logger = zerolog.New(&said)
				c.Failed = func(h *gateway.Hello, reason, remedy string) {
					told <- h.Remote.Addr().String() + " " + reason + " " + remedy
				}
				if tt.change != nil {
					tt.change(c)
				}
			})
			c := rawDial(t, s)
			tt.say(c)
			c.CloseWrite()
			io.Copy(io.Discard, c)
			line := said.line(t, "handshake failed")
			if got, want := <-told, fmt.Sprintf("127.0.0.1 the client speaks %s %s", line["speaks"],
				line["remedy"]); got != want {
				t.Errorf("the operator is told %q, want %q", got, want)
			}
			for field, want := range map[string]string{"speaks": tt.speaks, "remedy": tt.remedy, "address": "127.0.0.1:",
				"level": "warn"} {
				if got, _ := line[field].(string); !strings.Contains(got, want) {
					t.Errorf("%s is %q, want %q in it", field, got, want)
				}
			}
			if s := s.Stats(); s.HandshakesFailed != 1 || s.OlderThanTLS != tt.older || s.WithoutTLS != tt.without {
				t.Errorf("%d failed, %d older than TLS, %d without TLS; want 1, %d, %d", s.HandshakesFailed, s.OlderThanTLS,
					s.WithoutTLS, tt.older, tt.without)
			}
			if len(ss.ch) != 0 {
				t.Error("a session was opened")
			}
		})
	}
}

// loopback is where all of this machine's own connections come from.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// TestTerminated: from a listed address plain TCP is taken like TLS: frames
// however they are cut, the packet and our end behind it, the provider's end,
// and waiting where a session has no room.
func TestTerminated(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	hellos := make(chan gateway.Hello, 10)
	s := serve(t, nil, func(c *gateway.Config) {
		c.Terminated = loopback
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			hellos <- *h
			return ss.open, nil
		}
	})
	t.Run("packet", func(t *testing.T) {
		c := rawDial(t, s)
		for _, b := range enhanced(nil, 1, 20) {
			write(t, c, []byte{b})
		}
		r := ss.next()
		eventually(t, "all frames", func() bool { return r.len() == 20 })
		r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, badToken2.Append(nil)) {
			t.Errorf("got % x, %v", got, err)
		}
		write(t, c, enhanced(nil, 21, 30)) // is still delivered
		c.Close()
		if err := r.waitClosed(); err != nil {
			t.Error(err)
		}
		r.wantNumbers(1, 30)
		if h := <-hellos; !h.Terminated || h.Version != 0 || len(h.Chain) != 0 || h.Label != "production" ||
			!h.Remote.Addr().IsLoopback() {
			t.Errorf("got %+v", h)
		}
	})
	t.Run("half closed", func(t *testing.T) {
		c := rawDial(t, s)
		write(t, c, enhanced(nil, 1, 5))
		c.CloseWrite()
		r := ss.next()
		eventually(t, "the provider's end is seen", r.isOver)
		r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Errorf("got % x, %v", got, err)
		}
		c.Close()
		r.waitClosed()
		r.wantNumbers(1, 5)
	})
	if got := s.Stats(); got.Terminated != 2 || got.HandshakesDone != 0 {
		t.Errorf("%d terminated, %d handshakes; want 2, none", got.Terminated, got.HandshakesDone)
	}
}

// TestTerminatedWaits: a session without room stops plain TCP too.
func TestTerminatedWaits(t *testing.T) {
	t.Parallel()
	const frames, between = 5_000, 500
	ss := newSessions(t)
	ss.push = func(_ *recorder, n *binproto.Notification) bool { return n.Identifier%between != 0 }
	s := serve(t, ss.open, func(c *gateway.Config) { c.Terminated = loopback })
	c := rawDial(t, s)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(enhanced(nil, 1, frames))
		sent <- errors.Join(err, c.CloseWrite())
	}()
	r := ss.next()
	for n := between; n <= frames; n += between {
		eventually(t, "it waits", func() bool { return r.len() == n })
		r.conn.Resume()
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	r.closeWhenOver()
	r.waitClosed()
	r.wantNumbers(1, frames)
	if got := s.Stats().Parks; got == 0 {
		t.Error("it was never parked")
	}
}

// TestTerminatedOnly: an address that is not listed gets no plain TCP, a listed
// one no TLS, and the log says so.
func TestTerminatedOnly(t *testing.T) {
	t.Parallel()
	var said log
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Terminated = loopback
		c.Logger = zerolog.New(&said)
	})
	c := rawDial(t, s)
	go tls.Client(c, clientTLS(tls.VersionTLS12)).Handshake()
	r := ss.next()
	r.closeWhenOver()
	if got, _ := said.line(t, "the stream cannot be read further")["remedy"].(string); !strings.Contains(got,
		"tls.terminated") {
		t.Errorf("remedy is %q", got)
	}
	c.Close()
	r.waitClosed()

	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := elsewhere.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Skip("only one loopback address: ", err)
	}
	defer other.Close()
	write(t, other, enhanced(nil, 1, 1))
	if got, _ := said.line(t, "handshake failed")["speaks"].(string); got != "frames without TLS" {
		t.Errorf("speaks %q", got)
	}
	config := clientTLS(tls.VersionTLS12)
	third, err := tls.DialWithDialer(&elsewhere, "tcp", s.Addr().String(), config)
	if err != nil {
		t.Fatal("TLS from an address that is not listed: ", err)
	}
	defer third.Close()
	write(t, third, enhanced(nil, 1, 1))
	r = ss.next()
	eventually(t, "the frame", func() bool { return r.len() == 1 })
}

// TestTerminatedRefused: to come from a listed address is not enough to be admitted.
func TestTerminatedRefused(t *testing.T) {
	t.Parallel()
	var said log
	s := serve(t, nil, func(c *gateway.Config) {
		c.Terminated = loopback
		c.Logger = zerolog.New(&said)
		c.Admit = func(*gateway.Hello) (gateway.Opener, error) { return nil, io.ErrNoProgress }
	})
	c := rawDial(t, s)
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
		t.Errorf("got % x, %v, want the end", got, err)
	}
	said.line(t, "client refused")
	eventually(t, "it is counted", func() bool { s := s.Stats(); return s.Refused == 1 && s.Connections == 0 })
}

// TestTerminatedFeedback: the list arrives without TLS, and is known to have.
func TestTerminatedFeedback(t *testing.T) {
	t.Parallel()
	open, outcomes := give(1_000)
	s := serveFeedback(t, open, func(c *gateway.FeedbackConfig) { c.Terminated = loopback })
	c := rawDial(t, s)
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, tuples(1_000)) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	c.Close()
	(<-outcomes).check(t, true)
}
