package servertest

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// Unhex is a device token's bytes.
func Unhex(token string) []byte {
	b, err := hex.DecodeString(token)
	if err != nil {
		panic(err)
	}
	return b
}

// Token is a device token: what the prefix says, then a number.
func Token(prefix string, number int) string {
	t := fmt.Sprintf("%s%0*x", prefix, 64-len(prefix), number)
	Unhex(t)
	return t
}

// Enhanced is a frame of command 1 that is like no other.
func Enhanced(deviceToken string, identifier int) []byte {
	n := binproto.Notification{
		Command:    binproto.Enhanced,
		Token:      Unhex(deviceToken),
		Payload:    fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, identifier),
		Identifier: uint32(identifier),
		Expiry:     uint32(time.Now().Add(time.Hour).Unix()),
	}
	return n.Append(nil)
}

// Patience is for what comes to pass for certain, however busy the machine is: it is spent where something is broken.
const Patience = 3 * time.Minute

// WaitFor fails the test unless done comes true.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at a condition
	}
}
