package link

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"apnsbridge/binproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is the CA of a fleet.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() *authority {
	a := &authority{key: newKey()}
	a.certificate = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, &a.key.PublicKey)
	return a
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func (a *authority) sign(c, by *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	return a.signUntil(c, by, public, time.Now().Add(time.Hour))
}

func (a *authority) signUntil(c, by *x509.Certificate, public *ecdsa.PublicKey, until time.Time) *x509.Certificate {
	c.SerialNumber, c.NotAfter = big.NewInt(time.Now().UnixNano()), until
	if c.Subject = (pkix.Name{CommonName: "a node"}); by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, public, a.key)
	if err != nil {
		panic(err)
	}
	c, _ = x509.ParseCertificate(der)
	return c
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

func (a *authority) node() tls.Certificate {
	key := newKey()
	c := a.sign(&x509.Certificate{}, a.certificate, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

var fleetCA = sync.OnceValue(newAuthority)

func config(node string) Config {
	return Config{Node: node, Certificate: fleetCA().node(), CA: fleetCA().pool()}
}

// owner is a node at which sessions are recorded.
type owner struct {
	*Owner
	t       testing.TB
	address string

	mu       sync.Mutex
	changed  *sync.Cond
	sessions map[string]*session // by origin
	setUp    func(*session)
	read     func(ctx context.Context, origin string, r Reader)
}

func newOwner(t testing.TB, c Config) *owner {
	t.Helper()
	o := &owner{t: t, setUp: func(*session) {}}
	o.start()
	o.Owner = NewOwner(c, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = l.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = o.Serve(l)
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
		o.Close()
	})
	return o
}

func (o *owner) start() {
	o.sessions = make(map[string]*session)
	o.changed = sync.NewCond(&o.mu)
	if o.read == nil {
		o.read = func(context.Context, string, Reader) {}
	}
}

func (o *owner) Open(_ string, p Provider, origin []byte) (Session, binproto.Parser, error) {
	if string(origin) == "refused" {
		return nil, binproto.Parser{}, errors.New("a provider came too late")
	}
	s := &session{owner: o, Provider: p, room: true}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.setUp(s)
	o.sessions[string(origin)] = s
	o.changed.Broadcast()
	return s, binproto.DefaultParser(), nil
}

func (o *owner) Read(ctx context.Context, _ string, origin []byte, r Reader) {
	o.read(ctx, string(origin), r)
}

// session records what it is told.
type session struct {
	Provider
	owner  *owner
	room   bool // what Push and Reject return
	loose  bool // it does not check what comes
	said   []string
	ids    []uint32
	closed bool
	pushed func(id uint32) // called without a lock held
}

func (s *session) note(format string, args ...any) bool {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf(format, args...))
	s.owner.changed.Broadcast()
	return s.room
}

func (s *session) Push(n *binproto.Notification) bool {
	if want := notification(n.Identifier); !s.loose &&
		(!bytes.Equal(want.Token, n.Token) || !bytes.Equal(want.Payload, n.Payload) || want.Command != n.Command) {
		s.owner.t.Errorf("got %.200v, want %.200v", n, want)
	}
	if s.pushed != nil {
		s.pushed(n.Identifier)
	}
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.ids = append(s.ids, n.Identifier)
	s.owner.changed.Broadcast()
	return s.room
}

func (s *session) Reject(n *binproto.Notification, status binproto.Status) bool {
	return s.note("reject %d %v %d %x %d status %d", n.Command, n.HasIdentifier, n.Identifier, n.Layout, n.Skipped,
		status)
}
func (s *session) ReadOn()               { s.note("read on") }
func (s *session) Leave(d time.Duration) { s.note("leave %v", d) }
func (s *session) Shutdown(heard bool)   { s.note("shutdown %v", heard) }
func (s *session) Close(err error) {
	s.owner.mu.Lock()
	s.closed = true
	s.owner.mu.Unlock()
	s.note("close %v", err)
}

// until waits for a condition on o's sessions.
func (o *owner) until(what string, is func() bool) {
	o.t.Helper()
	late := false
	timer := time.AfterFunc(time.Minute, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		late = true
		o.changed.Broadcast()
	})
	defer timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for !is() {
		if late {
			o.t.Fatalf("timed out waiting until: %s", what)
		}
		o.changed.Wait()
	}
}

// of waits until the session of that origin is opened, and returns it.
func (o *owner) of(origin string) (s *session) {
	o.t.Helper()
	o.until(origin+" is opened", func() bool { s = o.sessions[origin]; return s != nil })
	return s
}

// got waits until the session has received n notifications, and checks that they are in order.
func (o *owner) got(origin string, n int) {
	o.t.Helper()
	s := o.of(origin)
	o.until(fmt.Sprintf("%s has %d notifications", origin, n), func() bool { return len(s.ids) >= n })
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, id := range s.ids {
		if id != uint32(i) {
			o.t.Fatalf("%s: got notification %d at position %d of %d", origin, id, i, len(s.ids))
		}
	}
	if len(s.ids) != n {
		o.t.Errorf("%s: got %d notifications, want %d", origin, len(s.ids), n)
	}
}

// resume gives a session room for everything that comes.
func (o *owner) resume(s *session) {
	o.mu.Lock()
	s.room = true
	o.mu.Unlock()
	s.Resume()
}

func notification(id uint32) *binproto.Notification {
	token := binary.BigEndian.AppendUint32(bytes.Repeat([]byte{0xaa}, 28), id)
	return &binproto.Notification{
		Command: binproto.Enhanced, Identifier: id, HasIdentifier: true, HasExpiry: true,
		Token: token, Payload: fmt.Appendf(nil, `{"aps":{"badge":%d}}`, id),
	}
}

// provider is a connection at the entry.
type provider struct {
	Session
	entry *Entry

	mu      sync.Mutex
	changed *sync.Cond
	said    []string
	resumes int
	sent    uint32
}

func newProvider(e *Entry) *provider {
	p := &provider{entry: e}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func carry(t testing.TB, e *Entry, app, origin string) *provider {
	t.Helper()
	p := newProvider(e)
	s, err := e.Open(p, app, []byte(origin))
	if err != nil {
		t.Fatal(err)
	}
	p.Session = s
	return p
}

func (p *provider) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, fmt.Sprintf(format, args...))
	p.changed.Broadcast()
}

func (p *provider) Fail(status binproto.Status, id uint32, within time.Duration) {
	p.note("fail %d %d %v", status, id, within)
}
func (p *provider) Close() { p.note("close") }
func (p *provider) Cut()   { p.note("cut") }
func (p *provider) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumes++
	p.changed.Broadcast()
}

// send pushes up to n notifications, until there is no room, and returns how many it pushed.
func (p *provider) send(n int) (sent int) {
	for room := true; room && sent < n; sent++ {
		room = p.Push(notification(p.sent))
		p.sent++
	}
	return sent
}

// sendAll pushes n notifications, waiting for room as a gateway does.
func (p *provider) sendAll(n int) {
	for sent := 0; sent < n; {
		p.mu.Lock()
		before := p.resumes
		p.mu.Unlock()
		sent += p.send(n - sent)
		if sent < n {
			p.mu.Lock()
			for p.resumes == before {
				p.changed.Wait()
			}
			p.mu.Unlock()
		}
	}
}

// heard waits until the provider was told what.
func (p *provider) heard(t testing.TB, what string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		said := slices.Clone(p.said)
		p.mu.Unlock()
		if slices.Contains(said, what) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the provider was told %v, want %q among it", said, what)
		}
	}
}

func dial(t testing.TB, o *owner, c Config) *Entry {
	t.Helper()
	e, err := Dial(context.Background(), o.address, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}
