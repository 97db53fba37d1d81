package conversation_test

import (
	"fmt"
	"net/netip"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// note is a notification as its owner keeps it.
type note struct{ token, payload string }

func (n note) Token() []byte   { return []byte(n.token) }
func (n note) Payload() []byte { return []byte(n.payload) }

// A provider writes three notifications, and APNs refuses the second. The provider is told
// so, believes that the third was not sent, and sends that again on a new connection. It was
// already delivered, and is not forwarded again.
func ExampleLedger() {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	address := netip.MustParseAddr("10.1.2.3")
	ledger := conversation.New(conversation.Options{
		Budget: conversation.NewBudget(64 << 20), Bytes: 16 << 20, Life: 10 * time.Minute, ProvenLife: time.Hour,
	}, now)
	carryOut := func() {
		for d, ok := ledger.Next(); ok; d, ok = ledger.Next() {
			switch d.Do {
			case conversation.Packet:
				fmt.Printf("tell the provider: %d, %v\n", d.Identifier, d.Status)
			case conversation.Release:
				fmt.Printf("release %s\n", d.Content.Payload())
			}
		}
	}
	frame := func(identifier uint32) conversation.Frame {
		return conversation.Frame{Command: binproto.Enhanced, Identifier: identifier, HasIdentifier: true}
	}

	first := ledger.Open(address, true, now)
	var places []conversation.Seq
	for i, n := range []note{{"token of a", "hello a"}, {"bad token", "hello b"}, {"token of c", "hello c"}} {
		place, forward := first.Take(n, frame(uint32(i+1)), now)
		fmt.Printf("%s: forward it: %v\n", n.payload, forward)
		places = append(places, place)
	}
	first.Settle(places[2], conversation.Accepted, now) // APNs answers in an order of its own
	first.Settle(places[0], conversation.Accepted, now)
	first.Refuse(places[1], binproto.InvalidToken, "BadDeviceToken", now)
	carryOut()
	first.Ended(true, now)
	first.Closed(true, now)
	carryOut()

	now = now.Add(time.Second)
	second := ledger.Open(address, true, now)
	_, forward := second.Take(note{"token of c", "hello c"}, frame(3), now)
	fmt.Printf("hello c again: forward it: %v\n", forward)
	carryOut()
	// Output:
	// hello a: forward it: true
	// hello b: forward it: true
	// hello c: forward it: true
	// tell the provider: 2, invalid token
	// release hello a
	// release hello b
	// release hello c
	// hello c again: forward it: false
}
