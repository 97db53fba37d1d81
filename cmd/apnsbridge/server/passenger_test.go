package server

import (
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/fleet/link"
)

// cuts is a provider's connection that records only how it ends.
type cuts struct {
	link.Provider
	cut, told, closed bool
}

func (c *cuts) Cut()                                        { c.cut = true }
func (c *cuts) Fail(binproto.Status, uint32, time.Duration) { c.told = true }
func (c *cuts) Close()                                      { c.closed = true }

// closes is a session that records only how it ends.
type closes struct {
	link.Session
	err error
}

func (c *closes) Close(err error) { c.err = err }

// What is kept while a place is sought is bounded in bytes, whether the frames are good or
// refused: a provider that writes on is cut.
func TestPassengerKeepsSoMuch(t *testing.T) {
	large := &binproto.Notification{Token: make([]byte, 1000), Payload: make([]byte, 4000)}
	for name, write := range map[string]func(*passenger) bool{
		"good":    func(p *passenger) bool { return p.Push(large) },
		"refused": func(p *passenger) bool { return p.Reject(large, binproto.InvalidPayloadSize) },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cuts{}
			p := &passenger{provider: c}
			for bytes := 0; bytes <= maxKept; bytes += 5000 + ofFrame {
				if c.cut {
					t.Fatalf("the connection is cut after %d bytes, want it to have %d", bytes, maxKept)
				}
				if write(p) {
					t.Fatal("there is room though no place has been found")
				}
			}
			if !c.cut {
				t.Errorf("%d bytes are kept without a cut, want at most %d", p.bytes, maxKept)
			}
		})
	}
}

// If a provider must no longer be told of a failure, its connection is ended in good order, so
// that what it has written is read, and its session learns that it was not told.
func TestPassengerUntold(t *testing.T) {
	for _, left := range []time.Duration{0, time.Second} {
		c, s := &cuts{}, &closes{}
		p := &passenger{provider: c, carriage: &carriage{}}
		session := link.Session(s)
		p.session.Store(&session)
		voice{c, func() time.Duration { return left }, &p.untold}.Fail(binproto.InvalidToken, 1, time.Second)
		p.Close(nil)
		if told := left > 0; c.told != told || c.closed == told || c.cut || (s.err == nil) != told {
			t.Errorf("with %v left: told %t, closed %t, cut %t, the session %v", left, c.told, c.closed, c.cut, s.err)
		}
	}
}
