package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/gateway"
)

// proxyV1 and proxyV2 are headers for a connection from there.
func proxyV1(from string) []byte {
	a := netip.MustParseAddrPort(from)
	family := "TCP4"
	if a.Addr().Is6() {
		family = "TCP6"
	}
	return []byte("PROXY " + family + " " + a.Addr().String() + " " + a.Addr().String() + " " +
		from[strings.LastIndex(from, ":")+1:] + " 2195\r\n")
}

func proxyV2(from string) []byte {
	a := netip.MustParseAddrPort(from)
	way := byte(0x11)
	if a.Addr().Is6() {
		way = 0x21
	}
	address := a.Addr().AsSlice()
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21"), way)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(address)+4+7))
	b = append(append(b, address...), address...)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	b = binary.BigEndian.AppendUint16(b, 2195)
	return append(b, 0x20, 0, 4, 7, 0, 0, 0) // and a client certificate, as the program says
}

// proxyLocal is what a program in front sends for a health check of its own.
var proxyLocal = []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")

// proxied is a change of a configuration: from loopback with a PROXY header only.
func proxied(c *gateway.Config) { c.Endpoints[0].ProxyProtocol = loopback }

// TestProxyProtocol: with TLS behind the header and without, however the header
// is cut, the provider is who it names.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	const provider, other = "203.0.113.7:40000", "[2001:db8::7]:40000"
	for _, tt := range []struct {
		name       string
		header     []byte
		terminated bool
		remote     string // "" for the socket's
	}{
		{"version 1", proxyV1(provider), false, provider},
		{"version 1, IPv6", proxyV1(other), false, other},
		{"version 1, unknown", []byte("PROXY UNKNOWN\r\n"), false, ""},
		{"version 1, terminated", proxyV1(provider), true, provider},
		{"version 2", proxyV2(provider), false, provider},
		{"version 2, IPv6", proxyV2(other), false, other},
		{"version 2, local", proxyLocal, false, ""},
		{"version 2, terminated", proxyV2(provider), true, provider},
		{"version 2, local, terminated", proxyLocal, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ss := newSessions(t)
			hellos := make(chan gateway.Hello, 10)
			s := serve(t, nil, func(c *gateway.Config) {
				proxied(c)
				if tt.terminated {
					c.Terminated = loopback
				}
				c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
					hellos <- *h
					return ss.open, nil
				}
			})
			for cut := range len(tt.header) {
				c := rawDial(t, s)
				write(t, c, tt.header[:cut])
				var stream io.ReadWriteCloser = c
				if tt.terminated {
					write(t, c, append(tt.header[cut:len(tt.header):len(tt.header)], enhanced(nil, 1, 5)...))
				} else {
					write(t, c, tt.header[cut:])
					stream = tls.Client(c, clientTLS(versions[cut%2]))
					write(t, stream, enhanced(nil, 1, 5))
				}
				stream.Close()
				r := ss.next()
				r.closeWhenOver()
				if err := r.waitClosed(); err != nil {
					t.Error(err)
				}
				r.wantNumbers(1, 5)
				want := tt.remote
				if want == "" {
					want = c.LocalAddr().String()
				}
				if h := <-hellos; h.Remote.String() != want || h.Terminated != tt.terminated {
					t.Fatalf("got %v, terminated %v; want %s", h.Remote, h.Terminated, want)
				}
			}
			want := uint64(len(tt.header))
			if tt.remote == "" {
				want = 0
			}
			if got := s.Stats(); got.Proxied != want || got.BadProxyHeaders != 0 {
				t.Errorf("%d proxied, %d bad headers; want %d, none", got.Proxied, got.BadProxyHeaders, want)
			}
		})
	}
}

// TestProxyProtocolFeedback: the feedback port understands it too.
func TestProxyProtocolFeedback(t *testing.T) {
	t.Parallel()
	open, outcomes := give(1_000)
	remotes := make(chan netip.AddrPort, 1)
	s := serveFeedback(t, open, func(c *gateway.FeedbackConfig) {
		c.Endpoints[0].ProxyProtocol = loopback
		admit := c.Admit
		c.Admit = func(h *gateway.Hello) (gateway.FeedbackOpener, error) {
			remotes <- h.Remote
			return admit(h)
		}
	})
	c := rawDial(t, s)
	write(t, c, proxyV2("203.0.113.7:40000"))
	reader := tls.Client(c, clientTLS(tls.VersionTLS12))
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, tuples(1_000)) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	reader.Close()
	(<-outcomes).check(t, true)
	if got := (<-remotes).String(); got != "203.0.113.7:40000" {
		t.Errorf("the reader is %s", got)
	}
}

// TestProxyProtocolLimits: what is bounded per address is bounded for the
// provider's, not for that of the program in front.
func TestProxyProtocolLimits(t *testing.T) {
	t.Parallel()
	var said log
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		proxied(c)
		c.Logger = zerolog.New(&said)
		c.Limits.ConnectionsPerAddress = 1
		c.Limits.HandshakeRatePerAddress = pace.Rate{Count: 2, Per: time.Hour}
	})
	connect := func(from string) (leave func(), err error) {
		c := rawDial(t, s)
		write(t, c, proxyV1(from))
		if err := tls.Client(c, clientTLS(tls.VersionTLS12)).Handshake(); err != nil {
			return nil, err
		}
		r := ss.next()
		return func() {
			c.Close()
			r.closeWhenOver()
			r.waitClosed()
			eventually(t, "there is room", func() bool { return s.Stats().Connections == 7 })
		}, nil
	}
	for range 5 { // on their way, of nobody yet
		rawDial(t, s)
	}
	var leave func()
	for _, from := range []string{"203.0.113.1:1", "203.0.113.2:1", "[2001:db8::1]:1"} {
		var err error
		if leave, err = connect(from); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.Connections != 8 || got.ConnectionsOfBusiest != 1 || got.AddressesPaced != 3 {
		t.Errorf("%d connections, %d of the busiest address, %d addresses; want 8, 1, 3", got.Connections,
			got.ConnectionsOfBusiest, got.AddressesPaced)
	}
	for _, from := range []string{"203.0.113.1:2", "[2001:db8::2]:2"} { // the /64 of one subscriber
		if _, err := connect(from); err == nil {
			t.Errorf("a second connection from %s was served", from)
		}
	}
	eventually(t, "they are counted", func() bool { return s.Stats().OverLimitPerAddress == 2 })
	line := said.line(t, "no room for another connection from this address")
	if line["address"] != "203.0.113.1:2" || !strings.HasPrefix(line["via"].(string), "127.0.0.1:") {
		t.Errorf("the log has address %v, via %v", line["address"], line["via"])
	}

	leave()
	if leave, err := connect("[2001:db8::3]:3"); err != nil {
		t.Error("the second handshake of the address: ", err)
	} else {
		leave()
	}
	if _, err := connect("[2001:db8::4]:4"); err == nil {
		t.Error("the third handshake of the address was done")
	}
	eventually(t, "it is counted", func() bool { return s.Stats().HandshakesOverRate == 1 })
}

// TestProxyProtocolIsTold: the log names a client that has to send a header and does not, or sends
// one and is not believed, and says what can be done about it.
func TestProxyProtocolIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		change         func(*gateway.Config)
		say            []byte
		speaks, remedy string
		bad, without   uint64
	}{
		{"no header, but TLS", proxied, clientHello(t), "no PROXY header", "switch the PROXY protocol on", 1, 0},
		{"no header, but frames", proxied, enhanced(nil, 1, 1), "no PROXY header", "take its address off proxy_protocol",
			1, 0},
		{"a broken header", proxied, []byte("PROXY TCP4 somewhere\r\n"), "a broken PROXY header", "version 1 or 2", 1, 0},
		{"two headers", proxied, append(proxyV1("203.0.113.7:1"), proxyV1("203.0.113.8:1")...), "the PROXY protocol",
			"switch it off", 0, 1},
		{"a header from elsewhere", func(c *gateway.Config) {
			c.Endpoints[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, proxyV2("203.0.113.7:1"), "the PROXY protocol", "under proxy_protocol", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var said log
			ss := newSessions(t)
			s := serve(t, ss.open, func(c *gateway.Config) {
				tt.change(c)
				c.Logger = zerolog.New(&said)
			})
			c := rawDial(t, s)
			write(t, c, tt.say)
			c.CloseWrite()
			io.Copy(io.Discard, c)
			line := said.line(t, "handshake failed")
			for field, want := range map[string]string{"speaks": tt.speaks, "remedy": tt.remedy, "level": "warn"} {
				if got, _ := line[field].(string); !strings.Contains(got, want) {
					t.Errorf("%s is %q, want %q in it", field, got, want)
				}
			}
			eventually(t, "it is counted", func() bool {
				s := s.Stats()
				return s.BadProxyHeaders == tt.bad && s.WithoutTLS == tt.without && s.HandshakesFailed == 1 && s.Connections == 0
			})
			if len(ss.ch) != 0 {
				t.Error("a session was opened")
			}
		})
	}
}

// TestProxyProtocolFromElsewhere: a client that does not come through the program is served as on
// any other port.
func TestProxyProtocolFromElsewhere(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, proxied)
	if err := tls.Client(dialFrom(t, s, "127.0.0.2"), clientTLS(tls.VersionTLS12)).Handshake(); err != nil {
		t.Error(err)
	}
	ss.next()
}

// TestProxyProtocolSilence: headers that do not come cost no other client anything,
// and their own connections the time of a handshake.
func TestProxyProtocolSilence(t *testing.T) {
	t.Parallel()
	const silent = 50
	header := proxyV1("203.0.113.7:40000")
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		proxied(c)
		c.Limits.Handshakes, c.Limits.HandshakeTimeout = 1, aHandshake
	})
	for i := range silent {
		write(t, rawDial(t, s), header[:i%len(header)])
	}
	c := rawDial(t, s)
	write(t, c, header)
	if err := tls.Client(c, clientTLS(tls.VersionTLS13)).Handshake(); err != nil {
		t.Error(err)
	}
	ss.next()

	s = serve(t, ss.open, func(c *gateway.Config) {
		proxied(c)
		c.Limits.HandshakeTimeout = soon
	})
	failed := 0
	inTime(t, func() (late bool, err error) {
		began := time.Now()
		c := rawDial(t, s)
		c.Write(header)
		if err = tls.Client(c, clientTLS(tls.VersionTLS12)).Handshake(); err != nil {
			failed++
		}
		return time.Since(began) >= soon, err
	})
	for i := range silent {
		rawDial(t, s).Write(header[:i%len(header)]) // too late on a busy machine
	}
	eventually(t, "all others are timed out", func() bool {
		got := s.Stats()
		return got.HandshakesTimedOut == uint64(silent+failed) && got.Connections == 1
	})
}
