package gateway_test

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

// TestParkAndResume: sessions that have room only now and then lose nothing, and get everything in
// order.
func TestParkAndResume(t *testing.T) {
	t.Parallel()
	const conns = 4
	frames := rounds(4_000, 100_000)
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		resume := make(chan *gateway.Conn, conns*frames)
		ss.push = func(r *recorder, n *binproto.Notification) bool {
			switch rand.IntN(100) {
			case 0: // room comes later
				resume <- r.conn
				return false
			case 1: // room comes at once
				r.conn.Resume()
				return false
			}
			return true
		}
		s := serve(t, ss.open, nil)
		var resuming sync.WaitGroup
		resuming.Go(func() {
			for c := range resume {
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
				}
				c.Resume()
			}
		})
		var writing sync.WaitGroup
		for range conns {
			c := dial(t, s, version)
			writing.Go(func() {
				for id := 1; id <= frames; {
					last := min(id+rand.IntN(200), frames)
					if _, err := c.Write(enhanced(nil, id, last)); err != nil {
						t.Error(err)
						return
					}
					id = last + 1
				}
				c.CloseWrite()
			})
		}
		writing.Wait()
		for range conns {
			r := ss.next()
			r.closeWhenOver()
			if err := r.waitClosed(); err != nil {
				t.Error(err)
			}
			r.wantNumbers(1, frames)
		}
		close(resume)
		resuming.Wait()
		if got := s.Stats(); got.Parks == 0 || got.Parked != 0 {
			t.Errorf("%d parks and %d parked, want some and none", got.Parks, got.Parked)
		}
	})
}

// full is a session that has no room after its first frame until it is told otherwise.
func full(ss *sessions) {
	ss.push = func(r *recorder, n *binproto.Notification) bool { return n.Identifier != 1 }
}

// block begins to write frames, and waits until the connection is parked. The
// channel gives the error of the last write.
func block(t *testing.T, c interface {
	Write([]byte) (int, error)
	SetWriteDeadline(time.Time) error
}, s *gateway.Server, frames int) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		var err error
		for id := 1; id <= frames && err == nil; id += 1000 {
			_, err = c.Write(enhanced(nil, id, id+999))
		}
		done <- err
	}()
	eventually(t, "the connection is parked", func() bool { return s.Stats().Parked == 1 })
	return done
}

const blocking = 300_000 // frames that no kernel buffers hold

// TestBackpressure: without room the provider has to wait, and the gateway holds
// no more than it may.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	full(ss)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	written := block(t, c, s, blocking)
	select {
	case err := <-written:
		t.Fatal("the provider could write everything: ", err)
	case <-time.After(200 * time.Millisecond):
	}
	r := ss.next()
	if got := r.len(); got != 1 {
		t.Errorf("%d frames were given to a session without room", got)
	}
	if got := s.Stats().UnparsedBytes; got > 64<<10 {
		t.Errorf("%d bytes are held for one connection", got)
	}
	r.conn.Resume()
	if err := <-written; err != nil {
		t.Error(err)
	}
	c.CloseWrite()
	r.closeWhenOver()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, blocking)
}

// TestFailWhileParked: the packet does not wait for room, and after it nothing else does.
func TestFailWhileParked(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	full(ss)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	written := block(t, c, s, blocking)
	r := ss.next()
	r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
	if got, err := c.ReadResponse(); got != badToken2 || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, badToken2)
	}
	wantEOF(t, c)
	if err := <-written; err != nil {
		t.Error(err)
	}
	c.CloseWrite()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, blocking)
	if !r.heard {
		t.Error("Shutdown(false), though the provider had read its packet")
	}
}

// TestEndWhileParked: what a provider has written is delivered, however it ended.
func TestEndWhileParked(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		ss := newSessions(t)
		full(ss)
		s := serve(t, ss.open, nil)
		c := dial(t, s, tls.VersionTLS13)
		write(t, c, enhanced(nil, 1, 1))
		r := ss.next()
		eventually(t, "the connection is parked", func() bool { return s.Stats().Parked == 1 })
		write(t, c, enhanced(nil, 2, 500))
		if reset {
			eventually(t, "all has arrived", func() bool { return acknowledged(t, c.TCP) })
			c.Abort()
		} else {
			c.Close()
		}
		r.conn.Resume()
		if reset {
			if err := r.waitClosed(); err == nil {
				t.Error("session closed without the reset")
			}
		} else {
			r.closeWhenOver()
			if err := r.waitClosed(); err != nil {
				t.Error(err)
			}
		}
		r.wantNumbers(1, 500)
	}
}

// TestParkWithoutDescriptors: when the process has none left, a connection can
// still be parked, and read to its end.
func TestParkWithoutDescriptors(t *testing.T) {
	ss := newSessions(t)
	full(ss)
	s := serve(t, ss.open, func(c *gateway.Config) { c.Loops = 1 })
	c := dial(t, s, tls.VersionTLS13)
	write(t, c, enhanced(nil, 0, 0))
	r := ss.next()
	eventually(t, "the connection is on its loop", func() bool { return r.len() == 1 && r.conn.OnLoop() })
	give := takeAllDescriptors(t, 0)
	write(t, c, enhanced(nil, 1, 100))
	eventually(t, "the connection is parked", func() bool { return s.Stats().Parked == 1 })
	r.conn.Resume()
	c.CloseWrite()
	eventually(t, "the end is seen", r.isOver)
	r.conn.Fail(badToken2.Status, badToken2.Identifier, time.Second)
	wantEOF(t, c)
	give()
	if err := r.waitClosed(); err != io.EOF {
		t.Errorf("the session closed with %v, want %v", err, io.EOF)
	}
	r.wantNumbers(0, 100)
}

// takeAllDescriptors opens files until the process may open but some more.
func takeAllDescriptors(t *testing.T, some int) (giveBack func()) {
	t.Helper()
	restore := limitDescriptors(t, descriptors(t)+20)
	var files []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	if len(files) <= some {
		t.Fatal("no file could be opened")
	}
	for ; some > 0; some-- {
		last := len(files) - 1
		files[last].Close()
		files = files[:last]
	}
	var once sync.Once
	giveBack = func() {
		once.Do(func() {
			for _, f := range files {
				f.Close()
			}
			restore()
		})
	}
	t.Cleanup(giveBack)
	return giveBack
}
