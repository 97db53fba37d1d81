package gateway_test

import (
	"crypto/tls"
	"io"
	"testing"

	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// TestWaitsUntilReady: as long as no session can be opened, connections wait behind their
// handshakes, and a program that writes and goes may open more of them than an address may have.
func TestWaitsUntilReady(t *testing.T) {
	t.Parallel()
	const of = 5
	ss := newSessions(t)
	ready := make(chan struct{})
	s := serve(t, ss.open, func(c *gateway.Config) {
		c.Ready, c.Limits.ConnectionsPerAddress = ready, 2
	})
	writeAndGo(t, s, of)
	close(ready)
	for range of {
		r := ss.next()
		eventually(t, "its end has come", r.isOver)
		r.wantNumbers(1, 3)
		r.conn.Close()
		r.waitClosed()
	}
}

// TestClosedBeforeReady: a connection that waits for a session is closed when there will be none.
func TestClosedBeforeReady(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, func(c *gateway.Config) { c.Ready = make(chan struct{}) })
	c := dial(t, s, tls.VersionTLS12)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a server that has closed", n)
	}
}

// serveTwo runs a server of two apps, busy and quiet; app tells which of them the next to connect is of.
func serveTwo(t *testing.T, busy, quiet *sessions, app <-chan string, ready <-chan struct{},
	l gateway.Limits) *gateway.Server {
	return serve(t, nil, func(c *gateway.Config) {
		c.Ready, c.Limits = ready, l
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			if h.App = <-app; h.App == "quiet" {
				return quiet.open, nil
			}
			return busy.open, nil
		}
	})
}

// TestShareBeforeReady: one app's connections have all places, and wait. Another gets its share of them
// at the expense of those that have written nothing, then of those that can send again, and then of others.
func TestShareBeforeReady(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		const idle, gone, share = 2, 6, 4
		ss, quiet, app, ready := newSessions(t), newSessions(t), make(chan string, 1), make(chan struct{})
		s := serveTwo(t, ss, quiet, app, ready, gateway.Limits{Connections: idle + 1 + gone, AppConnectionsShare: 45})
		admitted := uint64(0)
		enter := func(name string) *provider.Conn {
			t.Helper()
			app <- name
			c := dial(t, s, version)
			admitted++
			eventually(t, "it is admitted", func() bool {
				got := s.Stats()
				return got.HandshakesDone == admitted && got.ConnectionsOfBusiest == 0
			})
			return c
		}
		ended := func(what string, c *provider.Conn) {
			t.Helper()
			if n, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: read %d bytes, %v, want the end", what, n, err)
			}
		}
		for range gone {
			c := enter("busy")
			write(t, c, enhanced(nil, 1, 3))
			c.Close()
		}
		writer := enter("busy")
		write(t, writer, enhanced(nil, 1, 3))
		idlers := []*provider.Conn{enter("busy"), enter("busy")}
		for range idle {
			enter("quiet")
		}
		for _, c := range idlers {
			ended("who has written nothing", c)
		}
		enter("quiet")
		ended("who can send again", writer)
		enter("quiet")
		app <- "quiet"
		ended("who is over the share", dial(t, s, version))
		if got := s.Stats(); got.OverShare != share || got.ConnectionsOfBusiestApp != gone-1 || got.OverLimit != 1 {
			t.Errorf("%d gave way, %d are left, and %d were refused", got.OverShare, got.ConnectionsOfBusiestApp, got.OverLimit)
		}
		close(ready)
		for range gone - 1 {
			r := ss.next()
			r.closeWhenOver()
			r.waitClosed()
			r.wantNumbers(1, 3)
		}
		for range share {
			quiet.next()
		}
	})
}

// TestWrittenWithHandshake: what a provider has written with the last of its handshake is at stake as what it
// writes later is, and is read once there is a session.
func TestWrittenWithHandshake(t *testing.T) {
	t.Parallel()
	ss, app, ready := newSessions(t), make(chan string, 1), make(chan struct{})
	s := serveTwo(t, ss, newSessions(t), app, ready, gateway.Limits{Connections: 2, AppConnectionsShare: 50})
	waits := func(n uint64) {
		t.Helper()
		eventually(t, "it waits", func() bool { return s.Stats().HandshakesDone == n && s.Stats().ConnectionsOfBusiest == 0 })
	}
	app <- "busy"
	cork := &corked{TCPConn: rawDial(t, s)}
	write(t, tls.Client(cork, clientTLS(tls.VersionTLS13)), enhanced(nil, 1, 3))
	write(t, cork.TCPConn, cork.held)
	waits(1)
	app <- "busy"
	idle := dial(t, s, tls.VersionTLS13)
	waits(2)
	app <- "quiet"
	dial(t, s, tls.VersionTLS13)
	waits(3)
	if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("who has written nothing read %d bytes, %v, want the end", n, err)
	}
	close(ready)
	r := ss.next()
	eventually(t, "all frames", func() bool { return r.len() == 3 })
	r.wantNumbers(1, 3)
}
