package gateway_test

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// TestInterrupted: a provider that is told while it writes, and closes its connection
// as soon as it has read the six bytes, has all delivered that it wrote: our end, lying
// unread, would have made its kernel throw away what was still on its way.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		ss.push = failing(50 * time.Millisecond)
		s := serve(t, ss.open, nil)
		for range rounds(3, 50) {
			c := dial(t, s, version)
			told := make(chan error, 1)
			go func() {
				answer, err := c.ReadResponse()
				if err == nil && answer != badToken2 {
					err = io.ErrUnexpectedEOF
				}
				told <- err
			}()
			id := 1
			for writing := true; writing; id += 1000 {
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
			r := ss.next()
			r.waitClosed()
			if !r.heard {
				t.Error("Shutdown(false), though the provider had read its packet")
			}
			r.wantNumbers(1, id-1)
		}
	})
}

// TestFarProvider: one that writes its list and goes, and is farther away than
// quietFor, is told nothing.
func TestFarProvider(t *testing.T) {
	t.Parallel()
	const pause = 120 * time.Millisecond
	for _, tt := range []struct {
		name string
		trip time.Duration
		want binproto.Response
	}{
		{"near", 0, badToken2},
		{"far", 5 * pause, binproto.Response{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ss := newSessions(t)
			ss.push = failing(10 * time.Second)
			s := serve(t, ss.open, nil)
			s.MoveAway(tt.trip)
			c := dial(t, s, tls.VersionTLS13)
			for id := 1; id < 10; id++ {
				if _, err := c.Write(enhanced(nil, id, id)); err != nil {
					t.Fatal(err)
				}
				<-time.After(pause)
			}
			c.CloseWrite()
			answer, err := c.ReadResponse()
			if wantErr := tt.want == (binproto.Response{}); answer != tt.want || (err == io.EOF) != wantErr {
				t.Errorf("got %v, %v, want %v", answer, err, tt.want)
			}
			c.Close()
			r := ss.next()
			r.waitClosed()
			r.wantNumbers(1, 9)
		})
	}
}
