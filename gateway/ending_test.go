package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

var badToken2 = binproto.Response{Status: binproto.InvalidToken, Identifier: 2}

// wantEOF reads the gateway's end. A provider that closes with close_notify
// unread resets the connection, and loses what it wrote last.
func wantEOF(t *testing.T, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d bytes, %v, want the end of the connection", n, err)
	}
}

// tap records what comes in below TLS.
type tap struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.Write(b[:n])
	return n, err
}

// TestPacketIsOneRecord: after the handshake nothing comes but one record with the packet and one
// with close_notify. Above all there is no session ticket, on which a client that waits with
// select and reads six bytes would choke.
func TestPacketIsOneRecord(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		tcp, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		wire := &tap{Conn: tcp}
		c := tls.Client(wire, clientTLS(version))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		wire.got.Reset()
		write(t, c, enhanced(nil, 1, 3))
		r := ss.next()
		eventually(t, "three frames", func() bool { return r.len() == 3 })
		r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
		r.conn.Fail(binproto.ProcessingError, 3, time.Second) // comes too late
		r.conn.Close()
		got, err := io.ReadAll(c)
		if want := badToken2.Append(nil); !bytes.Equal(got, want) || err != nil {
			t.Fatalf("got % x, %v, want % x and a clean end", got, err, want)
		}
		var sizes []int
		for b := wire.got.Bytes(); len(b) > 0; {
			size := int(b[3])<<8 | int(b[4])
			sizes = append(sizes, size)
			b = b[5+size:]
		}
		state := c.ConnectionState()
		overhead := 16 // of AES-GCM and ChaCha20-Poly1305
		switch {
		case version == tls.VersionTLS13:
			overhead++ // the content type
		case state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
			overhead += 8 // the nonce
		}
		if len(sizes) != 2 || sizes[0] != 6+overhead || sizes[1] != 2+overhead {
			t.Errorf("got records of %d bytes, want 6 and 2 besides %d", sizes, overhead)
		}
		c.Close()
		if err := r.waitClosed(); err != nil {
			t.Error(err)
		}
	})
}

// TestPipelineBehindFailure: a provider has thousands of frames on the wire when
// it is told. It reads its packet, sees no reset, and all frames are delivered.
func TestPipelineBehindFailure(t *testing.T) {
	t.Parallel()
	const frames = 10_000
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		ss.push = func(r *recorder, n *binproto.Notification) bool {
			if n.Identifier == 2 {
				r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
			}
			return n.Identifier < 5 // nobody stops reading behind a packet
		}
		s := serve(t, ss.open, nil)
		c := dial(t, s, version)
		told := make(chan error, 1)
		go func() {
			got, err := io.ReadAll(c)
			if err == nil && !bytes.Equal(got, badToken2.Append(nil)) {
				err = errors.New("not the packet")
			}
			told <- err
		}()
		write(t, c, enhanced(nil, 1, 100))
		if err := <-told; err != nil {
			t.Fatal("the provider is told: ", err)
		}
		for id := 101; id < frames; id += 100 {
			write(t, c, enhanced(nil, id, id+99))
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := ss.next()
		if err := r.waitClosed(); err != nil {
			t.Error(err)
		}
		r.wantNumbers(1, frames)
		if !r.heard {
			t.Error("Shutdown(false), though the provider had read its packet")
		}
	})
}

// TestHalfClosed: a provider that has ended its side is told nothing, and its connection is closed
// in an orderly way.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	endings := []struct {
		name string
		end  func(c *tls.Conn, tcp *net.TCPConn) error
	}{
		{"close_notify and FIN", func(c *tls.Conn, tcp *net.TCPConn) error {
			return errors.Join(c.CloseWrite(), tcp.CloseWrite())
		}},
		{"FIN alone", func(_ *tls.Conn, tcp *net.TCPConn) error { return tcp.CloseWrite() }},
		{"close_notify alone", func(c *tls.Conn, _ *net.TCPConn) error { return c.CloseWrite() }},
	}
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version uint16) {
				ss := newSessions(t)
				s := serve(t, ss.open, nil)
				c := dial(t, s, version)
				write(t, c, enhanced(nil, 1, 50))
				if err := e.end(c.Conn, c.TCP); err != nil {
					t.Fatal(err)
				}
				r := ss.next()
				eventually(t, "the end is seen", r.isOver)
				if r.heard {
					t.Error("Shutdown(true) without a packet")
				}
				r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
				wantEOF(t, c)
				c.TCP.Close()
				if err := r.waitClosed(); err != io.EOF {
					t.Errorf("the session closed with %v, want %v", err, io.EOF)
				}
				r.wantNumbers(1, 50)
			})
		})
	}
}

// TestGoneBeforePacket: a provider that is gone altogether refuses the packet, and its session is
// told that. Nothing that such a provider sends later is a resend.
func TestGoneBeforePacket(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		for range rounds(20, 1000) {
			c := dial(t, s, version)
			write(t, c, enhanced(nil, 1, 50))
			c.Close()
			r := ss.next()
			eventually(t, "the end is seen", r.isOver)
			r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
			if err := r.waitClosed(); err == nil {
				t.Fatal("the session was told that its packet arrived")
			}
			r.wantNumbers(1, 50)
		}
		eventually(t, "none is half closed or lingering", func() bool { // the last is counted until its session has heard
			st := s.Stats()
			return st.HalfClosed == 0 && st.Lingering == 0
		})
	})
}

// TestWriteAndClose: a provider that writes and closes at once is normal.
func TestWriteAndClose(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		const together = 30
		for range rounds(2, 100) {
			for range together {
				c := dial(t, s, version)
				write(t, c, enhanced(nil, 1, 40))
				c.Close()
			}
			for range together {
				r := ss.next()
				r.closeWhenOver()
				if err := r.waitClosed(); err != nil {
					t.Error(err)
				}
				r.wantNumbers(1, 40)
			}
		}
	})
}

// corked holds back what is written behind the ClientHello.
type corked struct {
	*net.TCPConn
	writes int
	held   []byte
}

func (c *corked) Write(b []byte) (int, error) {
	if c.writes++; c.writes == 1 {
		return c.TCPConn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

// SetWriteDeadline is called by CloseWrite, for what is held back.
func (c *corked) SetWriteDeadline(time.Time) error { return nil }

// TestDataWithFinished: data, close_notify and FIN come in the same segments as
// the end of the handshake. With TLS 1.2 that takes a resumption, where the
// client has the last word.
func TestDataWithFinished(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		config := clientTLS(version)
		if version == tls.VersionTLS12 {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			first := tls.Client(rawDial(t, s), config)
			write(t, first, enhanced(nil, 1, 40))
			first.Close()
			r := ss.next()
			r.closeWhenOver()
			r.waitClosed()
		}
		for range rounds(60, 3000) {
			cork := &corked{TCPConn: rawDial(t, s)}
			c := tls.Client(cork, config)
			write(t, c, enhanced(nil, 1, 40))
			if version == tls.VersionTLS12 && !c.ConnectionState().DidResume {
				t.Fatal("TLS 1.2 was not resumed")
			}
			c.CloseWrite()
			write(t, cork.TCPConn, cork.held)
			cork.TCPConn.CloseWrite()
			r := ss.next()
			r.closeWhenOver()
			if err := r.waitClosed(); err != nil {
				t.Error(err)
			}
			r.wantNumbers(1, 40)
			cork.Close()
		}
	})
}

func rawDial(t testing.TB, s interface{ Addr() net.Addr }) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// TestReset: what came before a reset is delivered, and there is no provider to tell.
func TestReset(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	write(t, c, enhanced(nil, 1, 50))
	r := ss.next()
	eventually(t, "all frames", func() bool { return r.len() == 50 })
	c.Abort()
	if err := r.waitClosed(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("session closed with %v, want ECONNRESET", err)
	}
	if r.over {
		t.Error("Shutdown was called for a reset")
	}
	r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second) // does nothing
	if got := s.Stats(); got.Resets != 1 || got.Packets != 0 {
		t.Errorf("%d resets and %d packets counted, want 1 and 0", got.Resets, got.Packets)
	}
}

// TestFailAtOnce: the owner may end a connection before anything was read.
func TestFailAtOnce(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
			c.Fail(badToken2.Status, badToken2.Identifier, time.Second)
			return ss.open(c)
		}, nil)
		c := dial(t, s, version)
		if got, err := c.ReadResponse(); got != badToken2 || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, badToken2)
		}
		wantEOF(t, c)
		write(t, c, enhanced(nil, 1, 10))
		c.Close()
		r := ss.next()
		if err := r.waitClosed(); err != nil {
			t.Error(err)
		}
		r.wantNumbers(1, 10)
	})
}

// testLingerIdle: a connection that we have ended but its provider has not is cut after a while,
// but not as long as the provider writes.
func testLingerIdle(t *testing.T) {
	const idle = 300 * time.Millisecond
	inTime(t, func() (late bool, err error) {
		ss := newSessions(t)
		s := serve(t, ss.open, func(c *gateway.Config) { c.Limits.LingerIdle = idle })
		c := dial(t, s, tls.VersionTLS13)
		r := ss.next()
		wrote := time.Now() // the last that has come for certain
		r.conn.Close()
		eventually(t, "our side has ended", func() bool { return s.Stats().Lingering == 1 })
		const frames = 8 // over more than idle
		for id := range frames {
			began := time.Now()
			if _, err := c.Write(enhanced(nil, id, id)); err != nil {
				return late || time.Since(wrote) >= idle, err
			}
			eventually(t, "the frame", func() bool { return r.len() == id+1 || r.isClosed() })
			late = late || time.Since(wrote) >= idle // also if the frame came before a cut that was decided on without it
			if r.len() == id+1 {
				wrote = began
			}
			select {
			case <-r.done:
				return late || time.Since(wrote) >= idle, errors.New("closed while the provider wrote")
			case <-time.After(50 * time.Millisecond):
			}
		}
		if got := s.Stats().Lingering; got != 1 {
			return late || time.Since(wrote) >= idle, fmt.Errorf("%d connections linger, want 1", got)
		}
		if err := r.waitClosed(); err == nil {
			t.Error("session closed without a reason")
		}
		if got := s.Stats(); got.LingerEnded != 1 || got.Lingering != 0 {
			t.Errorf("after it: %+v", got)
		}
		return false, nil
	})
}
