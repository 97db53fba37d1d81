package gateway_test

import (
	"crypto/tls"
	"testing"
)

// TestResetAtOnce: what a provider writes and resets its connection behind is
// delivered, as far as our kernel has it.
func TestResetAtOnce(t *testing.T) {
	t.Parallel()
	writeAndReset(t, func(c *tls.Conn) { c.NetConn().Close() }, true)
}

// TestResetBehindTheEnd: a reset behind close_notify takes nothing away. A provider that
// closes its socket with our session ticket unread sends one, and has ended in order.
func TestResetBehindTheEnd(t *testing.T) {
	t.Parallel()
	writeAndReset(t, func(c *tls.Conn) { c.Close() }, false)
}

// writeAndReset has a provider write, and reset its connection by ending it as it says. It
// looks whether that is taken for a broken one.
func writeAndReset(t *testing.T, end func(*tls.Conn), broken bool) {
	const frames = 100
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		many := rounds(20, 500)
		for range many {
			tcp := rawDial(t, s)
			c := tls.Client(tcp, clientTLS(version))
			write(t, c, enhanced(nil, 1, frames))
			tcp.SetLinger(0)
			end(c)
			r := ss.next()
			if !broken {
				r.closeWhenOver()
			}
			if err := r.waitClosed(); (err != nil) != broken {
				t.Errorf("the session was closed with %v, want an error: %v", err, broken)
			}
			r.wantNumbers(1, frames)
		}
		want := uint64(0)
		if broken {
			want = uint64(many)
		}
		if got := s.Stats().Resets; got != want {
			t.Errorf("%d resets are counted, want %d", got, want)
		}
	})
}

// TestResetBehindHandshake: a client that leaves Nagle's algorithm on, as OpenSSL's do,
// sends nothing until the end of its handshake is acknowledged, which with TLS 1.3 is
// the last word. Left to itself our kernel has that wait, and a reset then throws
// away what the client has written. That is a race: it is won most of the time, and
// without haste hardly ever.
func TestResetBehindHandshake(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	delivered := 0
	for range 40 {
		tcp := rawDial(t, s)
		tcp.SetNoDelay(false)
		c := tls.Client(tcp, clientTLS(tls.VersionTLS13))
		write(t, c, enhanced(nil, 1, 5))
		tcp.SetLinger(0)
		tcp.Close()
		r := ss.next()
		r.waitClosed()
		if r.len() == 5 {
			delivered++
		}
	}
	if delivered < 10 {
		t.Errorf("%d of 40 were delivered", delivered)
	}
}

// TestResetBeforeFrames: what a reset takes with it is counted.
func TestResetBeforeFrames(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	r := ss.next()
	c.Abort()
	r.waitClosed()
	c = dial(t, s, tls.VersionTLS13)
	write(t, c, enhanced(nil, 1, 2)[:100])
	r = ss.next()
	eventually(t, "a frame", func() bool { return r.len() == 1 })
	c.Abort()
	r.waitClosed()
	if got := s.Stats(); got.Resets != 2 || got.ResetsUnread != 1 || got.CutFrames != 1 {
		t.Errorf("%d resets, %d of them before a frame, and %d cut frames counted, want 2, 1 and 1", got.Resets,
			got.ResetsUnread, got.CutFrames)
	}
}
