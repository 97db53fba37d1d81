package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// helloOf is n bytes of a ClientHello that says it has size.
func helloOf(n, size int) []byte {
	message := append([]byte{1, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, n)...)
	var b []byte
	for len(message) > 0 {
		k := min(len(message), 16000)
		b = append(append(b, 22, 3, 1, byte(k>>8), byte(k)), message[:k]...)
		message = message[k:]
	}
	return b
}

// TestLongHello: one that says it is too long is ended at once, one that is not
// complete needs a handshake's place beyond 4 KiB, and one that is honest and long
// is taken.
func TestLongHello(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) { c.Limits.Handshakes = 2 })
	endless := rawDial(t, s)
	write(t, endless, helloOf(4, 17<<10))
	if _, err := endless.Read(make([]byte, 1)); err == nil {
		t.Error("a hello of 17 KiB is waited for")
	}
	write(t, rawDial(t, s), helloOf(3000, 15000))
	eventually(t, "3,000 bytes wait without a place", func() bool {
		g := s.Stats()
		return g.HelloBytes == 4096 && g.Handshakes == 0
	})
	write(t, rawDial(t, s), helloOf(5000, 15000))
	eventually(t, "5,000 bytes have one", func() bool { return s.Stats().Handshakes == 1 })
	for range 3 {
		write(t, rawDial(t, s), helloOf(5000, 15000))
	}
	begin := time.Now()
	config := clientTLS(tls.VersionTLS12)
	for i := range 40 { // 8 KiB
		config.NextProtos = append(config.NextProtos, fmt.Sprintf("%0200d", i))
	}
	c := tls.Client(rawDial(t, s), config)
	if err := c.Handshake(); err != nil {
		t.Fatalf("an honest hello of 8 KiB: %v", err)
	}
	ss.next()
	pass(t, s, ss)
	t.Logf("both are in after %v", time.Since(begin))
	if s.Stats().HandshakesDropped == 0 {
		t.Error("those in pieces are all still there")
	}
}

// selfSigned has a common name of that many bytes.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestHostileTexts: whatever a stranger says of itself, wherever the log has it,
// its line is short and one line, and a stream of them is bounded.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	var out safeBuffer
	refuse := func(*gateway.Hello) (gateway.Opener, error) { return nil, fmt.Errorf("not listed") }
	s := serve(t, nil, func(c *gateway.Config) { c.Admit, c.Logger = refuse, zerolog.New(&out) })
	ask := func(name string) {
		config := clientTLS(tls.VersionTLS12)
		config.Certificates = nil
		if name != "" {
			config.Certificates = []tls.Certificate{selfSigned(t, name)}
		}
		tls.Client(rawDial(t, s), config).Handshake()
	}
	for _, text := range []string{"\x01", "\"", ",", "\n", "\u202e", "é", "<script>", "\\"} {
		ask(strings.Repeat(text, 9000/len(text)))
	}
	ask(strings.Repeat("\x01", 120_000)) // beyond what a handshake may read
	for _, line := range [][]byte{[]byte("GET /" + strings.Repeat("\x1b[2J", 500) + " HTTP/1.1\r\n\r\n"),
		bytes.Repeat([]byte{0xff}, 3000), helloOf(100, 1<<20)} {
		c := rawDial(t, s)
		c.Write(line)
		io.Copy(io.Discard, c)
	}
	eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
	text := out.String()
	for line := range strings.Lines(text) {
		if len(line) > 2048 || strings.ContainsAny(line, "\x01\x1b\u202e") || strings.Contains(line, `\u0001`) {
			t.Errorf("%d bytes: %.300q", len(line), line)
		}
	}
	if got := strings.Count(text, "client refused"); got != 8 {
		t.Errorf("%d lines of refusals, want 8", got)
	}
	if got := s.Stats(); got.Refused != 8 {
		t.Errorf("%d refused, want 8", got.Refused)
	}
	before, began := len(out.String()), time.Now()
	var asking sync.WaitGroup
	for range 6 {
		asking.Go(func() {
			for range 50 {
				ask("")
			}
		})
	}
	asking.Wait()
	most := (20 << 10) * (1 + int(time.Since(began)/(5*time.Second))) // there are as many lines in each five seconds
	if grown := len(out.String()) - before; grown > most {
		t.Errorf("300 refusals have %d bytes, want %d at most", grown, most)
	}
}

// TestAddressFullOfStrangers: sockets that say nothing have all places of their
// address; a provider there gets in, and one that is established stays.
func TestAddressFullOfStrangers(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 5 })
	first := dial(t, s, tls.VersionTLS12)
	old := ss.next()
	for range 10 {
		rawDial(t, s)
	}
	eventually(t, "the address is full", func() bool { return s.Stats().ConnectionsOfBusiest == 5 })
	for range 5 {
		pass(t, s, ss)
	}
	write(t, first, enhanced(nil, 1, 10))
	eventually(t, "who was there is heard", func() bool { return old.len() == 10 })
}

// TestLingerTotal: a provider that trickles data after its packet has its time, and no more.
func TestLingerTotal(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Limits.LingerTotal = 300 * time.Millisecond
		c.Limits.LingerPressed = 50 * time.Millisecond
	})
	c := dial(t, s, tls.VersionTLS12)
	r := ss.next()
	r.conn.Fail(8, 1, 100*time.Millisecond)
	frame := enhanced(nil, 1, 1)
	for i := 0; s.Stats().LingerEnded == 0; i++ {
		if _, err := c.Write(frame[i%len(frame) : i%len(frame)+1]); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond) // what a trickler does
	}
	if err := r.waitClosed(); err == nil {
		t.Error("session closed without a reason")
	}
}

// TestCut: a connection is ended at once, whatever its provider still writes.
func TestCut(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	dial(t, s, tls.VersionTLS13)
	r := ss.next()
	r.conn.Cut()
	if err := r.waitClosed(); err == nil {
		t.Error("session closed without a reason")
	}
	eventually(t, "its place is free", func() bool { return s.Stats().Connections == 0 })
}

// TestAppShare: idle clients of one app have all places. Clients of another app get its share, one
// after another, at the expense of those that have been idle for longest.
func TestAppShare(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	app := make(chan string, 1)
	s := serve(t, nil, func(c *gateway.Config) {
		c.Limits.Connections, c.Limits.AppConnectionsShare = 10, 30
		c.Limits.LingerPressed = 50 * time.Millisecond
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) { h.App = <-app; return ss.open, nil }
	})
	enter := func(name string) (c *provider.Conn, open bool) {
		app <- name
		c = dial(t, s, tls.VersionTLS12)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Read(make([]byte, 1))
		}()
		eventually(t, "it is in, or out", func() bool {
			select {
			case <-ended:
				return true
			default:
				return len(ss.ch) > 0
			}
		})
		return c, len(ss.ch) > 0
	}
	var busy []*recorder
	for i := range 10 {
		c, open := enter("busy")
		if !open {
			t.Fatalf("number %d is not in", i)
		}
		r := ss.next()
		busy = append(busy, r)
		eventually(t, "it is on its loop", r.conn.OnLoop)
		write(t, c, enhanced(nil, 1, 1)) // from then on it is idle
		eventually(t, "its frame", func() bool { return r.len() == 1 })
	}
	for i := range 3 {
		if _, open := enter("quiet"); !open {
			t.Errorf("number %d of its share is not in", i)
		}
		ss.next()
		if err := busy[i].waitClosed(); err == nil {
			t.Error("session closed without a reason")
		}
	}
	for _, name := range []string{"quiet", "busy"} {
		if _, open := enter(name); open {
			t.Errorf("%s gets more than there is", name)
		}
	}
	if got := s.Stats(); got.OverShare != 3 || got.ConnectionsOfBusiestApp != 7 {
		t.Errorf("%d gave way, the busiest has %d; want 3 and 7", got.OverShare, got.ConnectionsOfBusiestApp)
	}
}

// TestMappedNetworks: a network of IPv4 addresses within IPv6 is what it means.
func TestMappedNetworks(t *testing.T) {
	t.Parallel()
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) { c.Terminated, c.Endpoints[0].ProxyProtocol = mapped, mapped })
	c := rawDial(t, s)
	write(t, c, append(proxyV1("127.0.0.7:40000"), enhanced(nil, 1, 3)...))
	r := ss.next()
	eventually(t, "frames in the clear", func() bool { return r.len() == 3 })
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
