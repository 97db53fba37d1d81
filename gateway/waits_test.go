package gateway_test

import (
	"crypto/tls"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

// writeAndGo writes three frames over each of so many connections, one after the other. None
// is refused, and none counts for its address once it has gone.
func writeAndGo(t *testing.T, s *gateway.Server, of int) {
	t.Helper()
	for i := range of {
		c := dial(t, s, tls.VersionTLS12+uint16(i%2))
		write(t, c, enhanced(nil, 1, 3))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it does not count", func() bool { return s.Stats().ConnectionsOfBusiest == 0 })
	}
	if got := s.Stats(); got.Connections != of || got.OverLimitPerAddress != 0 {
		t.Errorf("%d connections are there, and %d were refused", got.Connections, got.OverLimitPerAddress)
	}
}

// TestWaitsForSession: a connection that is not read, because its session has no room or its
// provider has ended it and waits for verdicts, does not count for its address. The program
// that opened it may be gone, and open the next.
func TestWaitsForSession(t *testing.T) {
	t.Parallel()
	for name, push := range map[string]func(*recorder, *binproto.Notification) bool{
		"no room": func(*recorder, *binproto.Notification) bool { return false },
		"no end":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			const of = 6
			ss := newSessions(t)
			ss.push = push
			s := serve(t, ss.open, func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 2 })
			writeAndGo(t, s, of)
			for range of {
				r := ss.next()
				eventually(t, "its end is read", func() bool {
					r.conn.Resume()
					return r.isOver()
				})
				r.wantNumbers(1, 3)
				r.conn.Close()
				r.waitClosed()
			}
			eventually(t, "all have gone", func() bool { return s.Stats().Connections == 0 })
		})
	}
}

// TestCountsAgain: one whose session has room again counts for its address as before.
func TestCountsAgain(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	full(ss)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	defer c.Close()
	counts := func(n int) {
		t.Helper()
		eventually(t, "it counts, or not", func() bool { return s.Stats().ConnectionsOfBusiest == n })
	}
	counts(1)
	write(t, c, enhanced(nil, 1, 1))
	counts(0)
	ss.next().conn.Resume()
	counts(1)
}
