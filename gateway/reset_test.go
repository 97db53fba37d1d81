package gateway_test

import (
	"crypto/tls"
	"testing"
)

// TestResetAtOnce: what a provider writes and resets its connection behind is
// delivered, as far as our kernel has it.
func TestResetAtOnce(t *testing.T) {
	const frames = 100
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		for range rounds(20, 500) {
			tcp := rawDial(t, s)
			c := tls.Client(tcp, clientTLS(version))
			write(t, c, enhanced(nil, 1, frames))
			tcp.SetLinger(0)
			tcp.Close()
			r := ss.next()
			if err := r.waitClosed(); err == nil {
				t.Error("the session's connection ended in order")
			}
			r.wantNumbers(1, frames)
		}
	})
}

// TestResetBeforeFrames: what a reset takes with it is counted.
func TestResetBeforeFrames(t *testing.T) {
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
		t.Errorf("%d resets, %d of them before a frame, and %d cut frames counted, want 2, 1 and 1", got.Resets, got.ResetsUnread, got.CutFrames)
	}
}
