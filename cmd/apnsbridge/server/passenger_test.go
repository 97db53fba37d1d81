package server

import (
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/fleet/link"
)

// cuts is a provider's connection of which it matters only how it ends.
type cuts struct {
	link.Provider
	cut, told, closed bool
}

func (c *cuts) Cut()                                        { c.cut = true }
func (c *cuts) Fail(binproto.Status, uint32, time.Duration) { c.told = true }
func (c *cuts) Close()                                      { c.closed = true }

// closes is a session of which it matters only how it ends.
type closes struct {
	link.Session
	err error
}

func (c *closes) Close(err error) { c.err = err }

// What comes while a place is sought is bounded in bytes, whether its frames are good or
// refused: one that writes on is cut.
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
					t.Fatalf("it is cut behind %d bytes, of %d", bytes, maxKept)
				}
				if write(p) {
					t.Fatal("there is room though it has no place")
				}
			}
			if !c.cut {
				t.Errorf("%d bytes are kept of %d", p.bytes, maxKept)
			}
		})
	}
}

// A provider that must not be told any more has its connection ended in order, so that what it
// has written is read, and its session hears that it was not told.
func TestPassengerUntold(t *testing.T) {
	for _, left := range []time.Duration{0, time.Second} {
		c, s := &cuts{}, &closes{}
		p := &passenger{provider: c, carriage: &carriage{}}
		session := link.Session(s)
		p.session.Store(&session)
		voice{c, func() time.Duration { return left }, &p.untold}.Fail(binproto.InvalidToken, 1, time.Second)
		p.Close(nil)
		if told := left > 0; c.told != told || c.closed == told || c.cut || (s.err == nil) != told {
			t.Errorf("with %v left: told %t, closed %t, cut %t, the session hears %v", left, c.told, c.closed, c.cut, s.err)
		}
	}
}
