package server

import (
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/fleet/link"
)

// cuts is a provider's connection of which it matters only whether it is cut.
type cuts struct {
	link.Provider
	cut bool
}

func (c *cuts) Cut() { c.cut = true }

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
