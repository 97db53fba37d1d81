package h2conn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var long = flag.Bool("long", false, "run the long rounds")

// testPatience ends a test that waits for something that does not come, however busy the machine is.
const testPatience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes a self-signed certificate for localhost.
var authority = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
})

func clientTLS() *tls.Config {
	_, roots := authority()
	return &tls.Config{RootCAs: roots}
}

// serve runs Go's HTTP/2 server over TLS until the test ends.
func serve(t testing.TB, h2 http.HTTP2Config, handler http.HandlerFunc) (address string) {
	t.Helper()
	cert, _ := authority()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, HTTP2: &h2,
		Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP2(true)
	ended := make(chan struct{})
	go func() {
		srv.ServeTLS(ln, "", "")
		close(ended)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return ln.Addr().String()
}

// dial opens a connection that is closed and gone when the test ends.
func dial(t testing.TB, address string, cfg Config) *Conn {
	t.Helper()
	if cfg.TLS == nil {
		cfg.TLS = clientTLS()
	}
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	c, err := Dial(ctx, address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

func pushPrefix(t testing.TB, authority string) *Prefix {
	t.Helper()
	p, err := NewPrefix("POST", "https", authority,
		Field{"authorization", []byte("bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzAwMDAwMDAwfQ.MEQCIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWX")},
		Field{"apns-topic", []byte("com.example.mail")},
		Field{"apns-push-type", []byte("alert")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// feeder keeps a connection full until it has sent a given number of requests, and counts how
// they end.
type feeder struct {
	mu      sync.Mutex
	prefix  *Prefix
	left    int // to be sent
	pending int // sent, not yet ended
	free    []*Request
	fates   [6]int
	status  map[int]int
	errors  []error
	ended   chan struct{} // closed when all have ended
}

func newFeeder(prefix *Prefix, count int) *feeder {
	return &feeder{prefix: prefix, left: count, status: map[int]int{}, ended: make(chan struct{})}
}

func (f *feeder) config() Config {
	return Config{Complete: f.complete, Room: f.fill, Want: []string{"apns-id"}}
}

const samplePath = "/3/device/00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"

func (f *feeder) request() *Request {
	return &Request{
		Prefix: f.prefix,
		Path:   []byte(samplePath),
		Fields: []Field{{"apns-id", []byte("123e4567-e89b-12d3-a456-426614174000")}, {"apns-expiration", []byte("1700000000")}},
		Body:   []byte(`{"aps":{"alert":{"title":"Game Request","subtitle":"Five Card Draw","body":"Bob wants to play poker"},"sound":"default","badge":3},"gameID":"12345678"}`),
	}
}

func (f *feeder) fill(c *Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.left > 0 {
		for len(f.free) < 64 {
			f.free = append(f.free, f.request())
		}
		n, err := c.Submit(f.free[:min(len(f.free), f.left)])
		f.free = append(f.free[:0], f.free[n:]...)
		f.left -= n
		f.pending += n
		if err != nil || n == 0 {
			return
		}
	}
}

func (f *feeder) complete(_ *Conn, done []*Request) {
	f.mu.Lock()
	for _, r := range done {
		f.fates[r.Fate]++
		if r.Err != nil && len(f.errors) < 10 {
			f.errors = append(f.errors, r.Err)
		}
		if r.Response != nil {
			f.status[r.Response.Status]++
		}
	}
	f.free = append(f.free, done...)
	f.pending -= len(done)
	over := f.left == 0 && f.pending == 0
	f.mu.Unlock()
	if over {
		close(f.ended)
	}
}

func (f *feeder) wait(t testing.TB) {
	t.Helper()
	select {
	case <-f.ended:
	case <-time.After(testPatience):
		f.mu.Lock()
		defer f.mu.Unlock()
		t.Fatalf("after %v: %d to be sent, %d under way, fates %v, errors %v", testPatience, f.left, f.pending,
			f.fates, f.errors)
	}
}

// waitOpen waits until the connection takes requests.
func waitOpen(t testing.TB, c *Conn) {
	t.Helper()
	deadline := time.Now().Add(testPatience)
	for {
		if requests, _ := c.Room(); requests > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("connection has no room: %+v", c.Stats())
		}
		runtime.Gosched()
	}
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(testPatience):
		t.Fatalf("nothing came in %v", testPatience)
		panic("unreachable")
	}
}
