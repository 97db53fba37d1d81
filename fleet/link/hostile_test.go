package link

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// stranger opens a TLS connection to an owner, for the test to write what it wants.
func stranger(t *testing.T, o *owner, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c.InsecureSkipVerify = true
	s, err := tls.Dial("tcp", o.address, c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.Close() })
	_ = s.SetDeadline(time.Now().Add(time.Minute))
	return s, nil
}

// ended waits for the end of a connection and returns what came until then.
func ended(t *testing.T, c *tls.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(c)
	if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
		t.Error("the connection was not ended")
	}
	return b
}

// An owner ignores whatever comes from a peer that does not belong to the fleet.
func TestStrangers(t *testing.T) {
	other := newAuthority()
	for _, tt := range []struct {
		name string
		c    *tls.Config
	}{
		{"without a certificate", &tls.Config{}},
		{"with a certificate of another CA", &tls.Config{Certificates: []tls.Certificate{other.node()}}},
		{"with TLS 1.2", &tls.Config{Certificates: []tls.Certificate{fleetCA().node()}, MaxVersion: tls.VersionTLS12}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			c, err := stranger(t, o, tt.c)
			if err == nil {
				b := appendMessage(appendHello(nil, "gw2"), open, 1, []byte("p")...)
				_, _ = c.Write(b)
				if got := ended(t, c); len(got) > 0 {
					t.Errorf("got %x from the owner, want nothing", got)
				}
			}
			o.Close()
			if len(o.sessions) != 0 {
				t.Error("a session was opened")
			}
		})
	}
}

// Nor does an entry speak to an owner that does not belong to the fleet.
func TestFalseOwner(t *testing.T) {
	c := config("gw1")
	c.Certificate = newAuthority().node()
	o := newOwner(t, c)
	if _, err := Dial(t.Context(), o.address, config("gw2")); err == nil ||
		!strings.Contains(err.Error(), "not of fleet.ca") {
		t.Errorf("got %v, want a refusal", err)
	}
	expired := config("gw1")
	key := newKey()
	old := fleetCA().certificate
	cert := &x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour)}
	signed := fleetCA().signUntil(cert, old, &key.PublicKey, time.Now().Add(-time.Hour))
	expired.Certificate = tls.Certificate{Certificate: [][]byte{signed.Raw}, PrivateKey: key}
	o = newOwner(t, expired)
	if _, err := Dial(t.Context(), o.address, config("gw2")); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// A member of the fleet that breaks the protocol loses its link, and no other.
func TestBreaches(t *testing.T) {
	hi := appendHello(nil, "gw2")
	old := slices.Clone(hi)
	old[headLen] = 0
	with := func(b []byte, more ...byte) []byte { return append(slices.Clone(b), more...) }
	begun := appendMessage(slices.Clone(hi), open, 1, 'p')
	tooMuch := slices.Clone(begun)
	for range windowNotifications + 1 {
		tooMuch = appendPush(tooMuch, 1, notification(0))
	}
	large := binary.BigEndian.AppendUint32([]byte{byte(push), 0, 0, 0, 1}, maxBody+1)
	for name, bytes := range map[string][]byte{
		"garbage":                        []byte("GET / HTTP/1.1\r\nHost: gw1\r\n\r\n"),
		"an old version":                 old,
		"no hello":                       appendMessage(nil, open, 1, 'p'),
		"a hello of no bytes":            appendMessage(nil, hello, 0),
		"a long hello":                   appendMessage(nil, hello, 0, make([]byte, 200)...),
		"two hellos":                     with(hi, hi...),
		"an unknown kind":                with(hi, appendMessage(nil, 99, 1)...),
		"a message of an owner":          with(hi, appendFail(nil, 1, failure{8, 1, 0})...),
		"a large message":                with(hi, large...),
		"a session that is opened twice": appendMessage(slices.Clone(begun), open, 1, 'p'),
		"session 0":                      appendMessage(slices.Clone(hi), open, 0, 'p'),
		"a long origin":                  appendMessage(slices.Clone(hi), open, 1, make([]byte, maxOrigin+1)...),
		"a push without a frame":         appendMessage(slices.Clone(begun), push, 1, 'x', 'y'),
		"a push with two frames": with(begun,
			appendMessage(nil, push, 1, notification(1).Append(notification(0).Append(nil))...)...),
		"half a push": with(begun,
			appendMessage(nil, push, 1, notification(0).Append(nil)[:30]...)...),
		"a short reject":       appendMessage(slices.Clone(begun), reject, 1, 5),
		"a long shutdown":      appendMessage(slices.Clone(begun), shutdown, 1, 1, 2),
		"an empty close":       appendMessage(slices.Clone(begun), closed, 1),
		"a long alive":         appendMessage(slices.Clone(hi), alive, 0, 1, 2),
		"an answer to nothing": appendMessage(slices.Clone(hi), written, 5),
		"more than its credit": tooMuch,
	} {
		t.Run(name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			o.setUp = func(s *session) { s.loose, s.room = true, false }
			good := carry(t, dial(t, o, config("gw3")), "mail", "good")
			c, err := stranger(t, o, &tls.Config{Certificates: []tls.Certificate{fleetCA().node()}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			ended(t, c)
			good.send(1)
			o.got("good", 1)
			if s := o.sessions["p"]; s != nil {
				o.until("the session is closed", func() bool { return s.closed })
			}
		})
	}
}

// Strangers that only connect do not keep a node of the fleet away.
func TestManyStrangers(t *testing.T) {
	o := newOwner(t, config("gw1"))
	for range 2 * maxStrangers {
		raw, err := net.Dial("tcp", o.address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
	}
	p := carry(t, dial(t, o, config("gw2")), "mail", "p")
	p.send(1)
	o.got("p", 1)
	o.Owner.mu.Lock()
	defer o.Owner.mu.Unlock()
	if len(o.strangers) > maxStrangers {
		t.Errorf("got %d strangers, want at most %d", len(o.strangers), maxStrangers)
	}
}

// A link that has ended accepts nothing more and keeps nothing in memory.
func TestPushBehindTheEnd(t *testing.T) {
	o := newOwner(t, config("gw1"))
	e := dial(t, o, config("gw2"))
	p := carry(t, e, "mail", "p")
	e.Close()
	before := len(e.pending)
	p.send(5000)
	p.ReadOn()
	p.Shutdown(false)
	if s := p.Session.(*carried); len(e.pending) != before || len(s.behind) != 0 {
		t.Errorf("got %d bytes pending and %d behind, want none added", len(e.pending), len(s.behind))
	}
}

// Messages for an unknown session are answered and do no harm.
func TestUnknownSession(t *testing.T) {
	o := newOwner(t, config("gw1"))
	c, err := stranger(t, o, &tls.Config{Certificates: []tls.Certificate{fleetCA().node()}})
	if err != nil {
		t.Fatal(err)
	}
	b := appendPush(appendHello(nil, "gw2"), 5, notification(0))
	if _, err := c.Write(appendMessage(b, shutdown, 5, 0)); err != nil {
		t.Fatal(err)
	}
	want := appendHello(nil, "gw1")
	for range 2 {
		want = append(want, appendMessage(nil, gone, 5, []byte("no such session")...)...)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
}

// A node that falls silent loses its link, at whatever stage of the link that is.
func TestSilence(t *testing.T) {
	t.Parallel()
	c := config("gw1")
	c.Alive, c.Handshake = 10*time.Millisecond, 3*time.Second
	t.Run("no handshake", func(t *testing.T) {
		t.Parallel()
		o := newOwner(t, c)
		raw, err := net.Dial("tcp", o.address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(time.Minute))
		if _, err := raw.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want the end of the connection", err)
		}
	})
	t.Run("no hello", func(t *testing.T) {
		t.Parallel()
		s, err := stranger(t, newOwner(t, c), &tls.Config{Certificates: []tls.Certificate{fleetCA().node()}})
		if err != nil {
			t.Fatal(err)
		}
		ended(t, s)
	})
	t.Run("no sign of life", func(t *testing.T) {
		t.Parallel()
		o := newOwner(t, c)
		s, err := stranger(t, o, &tls.Config{Certificates: []tls.Certificate{fleetCA().node()}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(appendMessage(appendHello(nil, "gw2"), open, 1, 'p')); err != nil {
			t.Fatal(err)
		}
		ended(t, s)
		p := o.of("p")
		o.until("the session is closed", func() bool { return p.closed })
		if !strings.Contains(p.said[0], errSilent.Error()) {
			t.Errorf("got %q, want a close because the other node is silent", p.said)
		}
	})
}

// feed gives bytes to one end of a link as if they came from the other.
func feed(c *conn, b []byte, take func(h header, body []byte) error) {
	for len(b) >= headLen {
		h, err := parseHeader(b)
		if err != nil || len(b) < headLen+h.length {
			return
		}
		if take(h, b[headLen:headLen+h.length]) != nil {
			return
		}
		b = b[headLen+h.length:]
	}
}

// unconnected returns one end of a link whose messages stay in memory.
func unconnected() *conn {
	one, other := net.Pipe()
	other.Close()
	return newConn(Config{}.withDefaults(), tls.Client(one, &tls.Config{}), maxControl)
}

func FuzzOwner(f *testing.F) {
	b := appendMessage(nil, open, 1, 'p')
	b = appendReject(appendPush(b, 1, simple), 1, rejected, 5)
	b = appendMessage(appendMessage(appendMessage(b, readOn, 1), shutdown, 1, 1), closed, 1, 2)
	f.Add(b)
	f.Add(appendText(appendMessage(appendMessage(nil, read, 2), written, 2), finished, 2, []byte{1, 1}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := &owner{t: t, sessions: make(map[string]*session)}
		o.setUp = func(s *session) { s.loose, s.room = true, len(b)%2 == 0 }
		o.start()
		c := &ownerConn{conn: unconnected(), owner: NewOwner(Config{}, o), sessions: make(map[uint32]*owned),
			readers: make(map[uint32]*reader), ready: make(chan struct{}, 1)}
		feed(c.conn, b, c.take)
		c.payBack()
		c.fail(errClosed)
		c.reading.Wait()
		for _, s := range c.sessions {
			if s.under.notifications > windowNotifications || s.under.bytes > windowBytes+headLen+maxBody {
				t.Errorf("got %+v under way, more than a window", s.under)
			}
			s.close(errClosed)
		}
		for _, s := range o.sessions {
			if !s.closed {
				t.Error("a session was not closed")
			}
		}
	})
}

func FuzzEntry(f *testing.F) {
	b := appendCredit(nil, 1, 1, 30)
	b = appendMessage(appendFail(b, 1, failure{8, 1, 0}), end, 1)
	f.Add(appendText(b, gone, 2, nil, errClosed))
	f.Add(appendMessage(appendMessage(nil, tuples, 3, 1, 2), finish, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &Entry{conn: unconnected(), sessions: make(map[uint32]*carried),
			readers: make(map[uint32]chan<- readerOrder), unpaid: make(map[uint32]int), account: newAccount(1 << 20)}
		for range 2 {
			p := newProvider(e)
			s, err := e.Open(p, "mail", nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Session = s
			s.Push(simple)
			s.Push(&binproto.Notification{Command: binproto.Simple, Token: make([]byte, 100),
				Payload: make([]byte, 4000)})
		}
		e.readers[3] = make(chan readerOrder, 1)
		feed(e.conn, b, e.take)
		total := int64(0)
		for _, s := range e.sessions {
			total += int64(s.window.bytes)
			if s.window.bytes < 0 || s.window.notifications < 0 {
				t.Errorf("got a negative window: %+v", *s.window)
			}
		}
		if total != e.account.total {
			t.Errorf("got %d bytes under way, want %d", e.account.total, total)
		}
		e.fail(errClosed)
	})
}
