package gateway_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// TestInterrupted: a provider is told while it writes, and closes its connection as soon as it has
// read the six bytes. Everything that it wrote is delivered: had our end been unread by then, its
// kernel would have thrown away what was still on its way.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		ss.push = failing(50 * time.Millisecond)
		s := serve(t, ss.open, nil)
		for range rounds(3, 50) {
			inTime(t, func() (late bool, err error) {
				before := s.Stats().Packets
				c := dial(t, s, version)
				told := make(chan error, 1)
				go func() {
					answer, err := c.ReadResponse()
					if err == nil && answer != badToken2 {
						err = io.ErrUnexpectedEOF
					}
					told <- err
				}()
				id, untold := 1, time.Now()
				for writing := true; writing; id += 1000 {
					if now := time.Now(); s.Stats().Packets == before {
						untold = now
					}
					write(t, c, enhanced(nil, id, id+999))
					select {
					case err := <-told:
						if err != nil {
							t.Fatal("the provider is told: ", err)
						}
						writing = false
					default:
					}
				}
				c.Close()
				late = time.Since(untold) >= 2*time.Second // what a provider has for that
				r := ss.next()
				r.waitClosed()
				if !r.heard {
					return late, errors.New("Shutdown(false), though the provider had read its packet")
				}
				r.wantNumbers(1, id-1)
				return false, nil
			})
		}
	})
}

// TestNearProvider: one that writes on and pauses now and then is told in a pause.
func TestNearProvider(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	ss.push = failing(time.Hour)
	s := serve(t, ss.open, nil)
	s.MoveAway(0)
	c := dial(t, s, tls.VersionTLS13)
	last := writeUntilTold(t, c, 1, 120*time.Millisecond) // more than quietFor
	c.Close()
	r := ss.next()
	r.waitClosed()
	r.wantNumbers(1, last)
}

// testFarProvider: one that writes its list and goes, and is farther away than
// quietFor, is told nothing.
func testFarProvider(t *testing.T) {
	const farthest = time.Second // two trips, and what its pauses are to be less than
	const frames = 4             // it is refused the second
	inTime(t, func() (late bool, err error) {
		ss := newSessions(t)
		ss.push = failing(time.Hour)
		s := serve(t, ss.open, nil)
		s.MoveAway(farthest / 2)
		c := dial(t, s, tls.VersionTLS13)
		last := time.Now()
		for id := range frames {
			began := time.Now()
			write(t, c, enhanced(nil, 1+id, 1+id))
			late = late || time.Since(last) >= farthest
			last = began
			<-time.After(120 * time.Millisecond) // more than quietFor
		}
		c.CloseWrite()
		late = late || time.Since(last) >= farthest
		if answer, err := c.ReadResponse(); err != io.EOF {
			return late, fmt.Errorf("got %v, %v, want the end alone", answer, err)
		}
		c.Close()
		r := ss.next()
		r.waitClosed()
		r.wantNumbers(1, frames)
		return false, nil
	})
}
