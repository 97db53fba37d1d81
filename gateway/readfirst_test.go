package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// failing is a session that is refused the second of its frames.
func failing(within time.Duration) func(r *recorder, n *binproto.Notification) bool {
	return func(r *recorder, n *binproto.Notification) bool {
		if n.Identifier == 2 {
			r.conn.Fail(badToken2.Status, badToken2.Identifier, within)
		}
		return true
	}
}

// writeUntilTold writes frames from the number first on, one after each pause, until the provider has read its packet,
// and returns the number of the last.
func writeUntilTold(t *testing.T, c *provider.Conn, first int, pause time.Duration) (last int) {
	t.Helper()
	c.SetDeadline(time.Time{}) // what ends this has its own
	told := make(chan error, 1)
	go func() {
		answer, err := c.ReadResponse()
		if err == nil && answer != badToken2 {
			err = fmt.Errorf("got %v, want %v", answer, badToken2)
		}
		told <- err
	}()
	tooLate := time.After(patience)
	for last = first; ; last++ {
		write(t, c, enhanced(nil, last, last))
		select {
		case err := <-told:
			if err != nil {
				t.Fatal("the provider is told: ", err)
			}
			c.SetDeadline(time.Now().Add(patience))
			return last
		case <-tooLate:
			t.Fatalf("the provider wrote %d frames in %v, and is not told", last-first+1, patience)
		case <-time.After(pause):
		}
	}
}

// testReadBeforeSpeaking: a provider that writes its list and goes, and reads
// nothing, is told nothing, and all of its list is delivered.
func testReadBeforeSpeaking(t *testing.T) {
	const frames = 20_000
	const pause = time.Second // what may be taken for the end of its list, however far away it is
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		ss.push = failing(time.Hour)
		s := serve(t, ss.open, nil)
		s.MoveAway(pause / 2) // so that it may be kept from writing for a second, by a busy machine
		for range rounds(3, 100) {
			inTime(t, func() (late bool, err error) {
				before := s.Stats().Packets
				c := dial(t, s, version)
				last := time.Now()
				for id := 1; id < frames; id += 100 {
					began := time.Now()
					write(t, c, enhanced(nil, id, id+99))
					late = late || time.Since(last) >= pause
					last = began
				}
				c.TCP.Close()
				late = late || time.Since(last) >= pause
				r := ss.next()
				ended := r.waitClosed()
				if told := s.Stats().Packets - before; told != 0 || ended != io.EOF || r.heard {
					return late, fmt.Errorf("%d packets were written, the session closed with %v, heard %v", told, ended, r.heard)
				}
				r.wantNumbers(1, frames)
				return false, nil
			})
		}
	})
}

// TestSpeaksInTheEnd: a provider that goes on writing is told all the same, once it has been read
// for long enough.
func TestSpeaksInTheEnd(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	ss.push = failing(200 * time.Millisecond)
	s := serve(t, ss.open, nil)
	s.MoveAway(time.Second / 2) // so that a busy machine may keep it from writing for a second
	c := dial(t, s, tls.VersionTLS13)
	began := time.Now()
	last := writeUntilTold(t, c, 1, time.Millisecond)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("told after %v, while it wrote", took)
	}
	wantEOF(t, c)
	c.Close()
	r := ss.next()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, last)
}

// seeming is a context whose deadline seems near, but which does not end.
type seeming struct {
	context.Context
	end time.Time
}

func (s seeming) Deadline() (time.Time, bool) { return s.end, true }

// TestSpeaksBeforeTheCut: a provider that goes on writing is told before its connection is cut,
// however much more time the session gave it: at a shutdown, and where SpeakBy says so.
func TestSpeaksBeforeTheCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cut  func(t *testing.T, s *gateway.Server, c *gateway.Conn)
	}{
		{"shutdown", func(t *testing.T, s *gateway.Server, _ *gateway.Conn) {
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- s.Shutdown(seeming{ctx, time.Now().Add(400 * time.Millisecond)}) }()
			t.Cleanup(func() {
				if t.Failed() {
					cancel() // the session waits for what did not come
				}
				if err := <-ended; err != nil {
					t.Error("Shutdown: ", err)
				}
				cancel()
			})
		}},
		{"one connection", func(_ *testing.T, _ *gateway.Server, c *gateway.Conn) { c.SpeakBy(time.Now()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ss := newSessions(t)
			ss.push = failing(time.Hour)
			s := serve(t, ss.open, nil)
			s.MoveAway(time.Second / 2) // so that a busy machine may keep it from writing for a second
			c := dial(t, s, tls.VersionTLS13)
			write(t, c, enhanced(nil, 1, 2))
			r := ss.next()
			tt.cut(t, s, r.conn)
			last := writeUntilTold(t, c, 3, time.Millisecond)
			c.Close()
			r.waitClosed()
			r.wantNumbers(1, last)
		})
	}
}

// TestSpeaksWithoutRoom: if there is no room to read on, waiting is useless. Everything is read
// after the packet, however much had come while there was no room.
func TestSpeaksWithoutRoom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		room, written int
	}{
		{"at once", 10, 100},
		{"while it writes", 10_000, 20_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ss := newSessions(t)
			ss.push = func(r *recorder, n *binproto.Notification) bool {
				failing(time.Hour)(r, n)
				return int(n.Identifier) < tt.room
			}
			s := serve(t, ss.open, nil)
			c := dial(t, s, tls.VersionTLS13)
			for id := 1; id < tt.written; id += 10 {
				write(t, c, enhanced(nil, id, id+9))
			}
			if got, err := c.ReadResponse(); got != badToken2 || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, badToken2)
			}
			wantEOF(t, c)
			c.Close()
			r := ss.next()
			r.waitClosed()
			r.wantNumbers(1, tt.written)
		})
	}
}

// TestResetBehindPacket: what had come when a provider closes its connection with the
// packet unread is read to its end. Its kernel answers with a reset.
func TestResetBehindPacket(t *testing.T) {
	t.Parallel()
	const frames = 5000
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		ss.push = failing(0)
		s := serve(t, ss.open, nil)
		for range rounds(3, 100) {
			c := dial(t, s, version)
			r := ss.next()
			write(t, c, enhanced(nil, 1, 2))
			eventually(t, "the packet", func() bool { return s.Stats().Lingering == 1 })
			for id := 3; id < frames; id += 1 {
				write(t, c, enhanced(nil, id, id))
			}
			eventually(t, "the provider's kernel has sent all", func() bool { return acknowledged(t, c.TCP) })
			c.TCP.Close()
			if err := r.waitClosed(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the session closed with %v, want a reset", err)
			}
			r.wantNumbers(1, frames-1)
		}
	})
}

// TestFullSessionHearsOfTheEnd: a session without room is told that the provider has
// ended its side behind what is still unread.
func TestFullSessionHearsOfTheEnd(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	ss.push = func(r *recorder, n *binproto.Notification) bool { return n.Identifier > 2 }
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	r := ss.next()
	write(t, c, enhanced(nil, 1, 1))
	eventually(t, "it is parked", func() bool { return s.Stats().Parked == 1 })
	write(t, c, enhanced(nil, 2, 3))
	c.TCP.Close()
	for !r.isOver() && !t.Failed() {
		r.conn.Resume()
		eventually(t, "the end", func() bool { return r.isOver() || s.Stats().Parked == 1 })
	}
	if !r.readsOn() {
		t.Error("the session was not told to read on")
	}
	r.conn.Close()
	r.waitClosed()
	r.wantNumbers(1, 3)
}
