package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

var long = flag.Bool("long", false, "run the long rounds")

// rounds is how often a test repeats what seldom goes wrong.
func rounds(short, longer int) int {
	if *long {
		return longer
	}
	return short
}

// atATime is how many tests run at a time: most of them wait. Not parallel is what needs the process for itself, and
// what has to do something within a time that a busy machine would not leave it, as TestAlone.
var atATime = "16"

func TestMain(m *testing.M) {
	if os.Getenv(attackVariable) != "" {
		runAttack()
		return
	}
	flag.Parse()
	if set := flag.Lookup("test.parallel"); set.Value.String() == set.DefValue {
		must(set.Value.Set(atATime))
	}
	// gnet keeps a pool of workers for the whole process.
	goleak.VerifyTestMain(noneLeft{m},
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

// certificates are made once.
var certificates = sync.OnceValue(func() (c struct {
	pki                      *devpki.PKI
	server, client, stranger tls.Certificate
	roots                    *x509.CertPool
}) {
	pki, err := devpki.CreateOf("com.example.demo", devpki.ECDSA)
	must(err)
	c.pki = pki
	stranger, err := pki.Issue(devpki.ClientOptions{Topic: "com.example.stranger"})
	must(err)
	c.server, err = pki.Server.TLS()
	must(err)
	c.client, err = pki.Client.TLS()
	must(err)
	c.stranger, err = stranger.TLS()
	must(err)
	c.roots = pki.Pool()
	return c
})

// rsaCertificate is the server's for clients that know no other kind of key. Such keys take long to make, and longer
// to sign with than all else in a handshake takes.
var rsaCertificate = sync.OnceValue(func() tls.Certificate {
	pair, err := certificates().pki.IssueServer(devpki.RSA)
	must(err)
	c, err := pair.TLS()
	must(err)
	return c
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// port is a port on loopback with everything at its default.
func port() gateway.Port {
	return gateway.Port{
		Endpoints: []gateway.Endpoint{{Address: "127.0.0.1:0", Label: "production"}},
		Certificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := certificates().server
			if h.SupportsCertificate(&c) != nil {
				c = rsaCertificate()
			}
			return &c, nil
		},
		Logger: zerolog.Nop(),
	}
}

// serve runs a server whose sessions open makes, until the test ends. Whatever
// the test leaves behind, no descriptor of the port may be left then.
func serve(t testing.TB, open gateway.Opener, change func(*gateway.Config)) *gateway.Server {
	t.Helper()
	certificates()
	config := gateway.Config{
		Port:  port(),
		Admit: func(*gateway.Hello) (gateway.Opener, error) { return open, nil },
	}
	if change != nil {
		change(&config)
	}
	s, err := gateway.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != gateway.ErrServerClosed {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
		stats := s.Stats()
		if stats.Connections != 0 || stats.Parked != 0 || stats.HalfClosed != 0 || stats.Lingering != 0 ||
			stats.UnparsedBytes != 0 || stats.Handshakes != 0 || stats.HandshakesWaiting != 0 || stats.AwaitingHello != 0 {
			t.Errorf("after Close: %+v", stats)
		}
		eventually(t, "no descriptor of the port left open", func() bool { return !hasSocketAt(t, s.Addr()) })
	})
	return s
}

const patience = time.Minute

// inTime has something tried that this machine may be too busy for: what goes wrong in a try
// counts unless the test itself was late in it.
func inTime(t *testing.T, try func() (late bool, err error)) {
	t.Helper()
	for range 20 {
		switch late, err := try(); {
		case err == nil || t.Failed():
			return
		case !late:
			t.Fatal(err)
		}
	}
	t.Skip("this machine is too busy")
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

func clientTLS(version uint16) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificates().client},
		RootCAs:      certificates().roots,
		ServerName:   "gateway.push.apple.com",
		MinVersion:   version,
		MaxVersion:   version,
	}
}

func dial(t testing.TB, s interface{ Addr() net.Addr }, version uint16) *provider.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := provider.Dial(ctx, s.Addr().String(), clientTLS(version))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.TCP.Close() })
	return c
}

func write(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func eachVersion(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range versions {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, v) })
	}
}

var token32 = slices.Repeat([]byte{0xab}, 32)

// enhanced appends the frames with the identifiers from first to last.
func enhanced(b []byte, first, last int) []byte {
	for id := first; id <= last; id++ {
		n := note(id)
		b = n.Append(b)
	}
	return b
}

func note(id int) binproto.Notification {
	return binproto.Notification{
		Command:       binproto.Enhanced,
		Token:         token32,
		Payload:       fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, id),
		Identifier:    uint32(id),
		HasIdentifier: true,
	}
}

// recorder is a Session that remembers what it was told. To be told something after Close, or in
// a forbidden order, fails the test.
type recorder struct {
	t    testing.TB
	conn *gateway.Conn

	push func(r *recorder, n *binproto.Notification) (room bool) // may be nil

	mu     sync.Mutex
	frames []frame
	readOn bool
	over   bool
	heard  bool
	closed bool
	err    error
	done   chan struct{} // closed by Close
}

// frame is a copy of what Push or Reject was given.
type frame struct {
	binproto.Notification
	status binproto.Status
}

func newRecorder(t testing.TB, c *gateway.Conn) *recorder {
	return &recorder{t: t, conn: c, done: make(chan struct{})}
}

func (r *recorder) Push(n *binproto.Notification) bool {
	r.take(n, binproto.NoError)
	if r.push != nil {
		return r.push(r, n)
	}
	return true
}

func (r *recorder) Reject(n *binproto.Notification, status binproto.Status) bool {
	r.take(n, status)
	return true
}

func (r *recorder) take(n *binproto.Notification, status binproto.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.closed {
		r.t.Error("a frame after Shutdown or Close")
	}
	f := frame{*n, status}
	f.Token, f.Payload = slices.Clone(n.Token), slices.Clone(n.Payload)
	if len(r.frames) == cap(r.frames) {
		r.frames = slices.Grow(r.frames, 16+len(r.frames)) // append would copy many of them much more often
	}
	r.frames = append(r.frames, f)
}

func (r *recorder) ReadOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readOn = true
}

func (r *recorder) readsOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readOn
}

func (r *recorder) Shutdown(heard bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.closed {
		r.t.Error("a second Shutdown, or one after Close")
	}
	r.over, r.heard = true, heard
}

func (r *recorder) Close(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.t.Error("a second Close")
		return
	}
	r.closed, r.err = true, err
	close(r.done)
}

func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frames)
}

func (r *recorder) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

func (r *recorder) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// waitClosed waits for Close and returns its error.
func (r *recorder) waitClosed() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the session was not closed in time")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// wantNumbers checks that the frames are those of enhanced from first to last,
// each once and in order.
func (r *recorder) wantNumbers(first, last int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) != last-first+1 {
		r.t.Errorf("got %d frames, want %d", len(r.frames), last-first+1)
	}
	for i, f := range r.frames {
		want := note(first + i)
		if f.status != binproto.NoError || f.Identifier != want.Identifier || string(f.Payload) != string(want.Payload) ||
			string(f.Token) != string(want.Token) {
			r.t.Errorf("frame %d is %d %q (%v), want %d %q", i, f.Identifier, f.Payload, f.status, want.Identifier, want.Payload)
			return
		}
	}
}

// sessions makes recorders and hands them to the test in the order in which
// their connections were opened.
type sessions struct {
	t    testing.TB
	push func(r *recorder, n *binproto.Notification) bool
	ch   chan *recorder
}

func newSessions(t testing.TB) *sessions {
	return &sessions{t: t, ch: make(chan *recorder, 10_000)}
}

func (s *sessions) open(c *gateway.Conn) (gateway.Session, binproto.Parser) {
	r := newRecorder(s.t, c)
	r.push = s.push
	s.ch <- r
	return r, binproto.DefaultParser()
}

func (s *sessions) next() *recorder {
	s.t.Helper()
	select {
	case r := <-s.ch:
		return r
	case <-time.After(patience):
		s.t.Fatal("no session was opened in time")
		return nil
	}
}

// closeWhenOver does what an owner with nothing to settle does: once the provider has ended its
// side, it ends ours.
func (r *recorder) closeWhenOver() {
	r.t.Helper()
	eventually(r.t, "the provider's end is seen", r.isOver)
	r.conn.Close()
}
