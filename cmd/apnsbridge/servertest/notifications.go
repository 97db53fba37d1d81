package servertest

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// Unhex returns a device token's bytes.
func Unhex(token string) []byte {
	b, err := hex.DecodeString(token)
	if err != nil {
		panic(err)
	}
	return b
}

// Token returns a device token: the prefix, then a number.
func Token(prefix string, number int) string {
	t := fmt.Sprintf("%s%0*x", prefix, 64-len(prefix), number)
	Unhex(t)
	return t
}

// Enhanced returns a frame of command 1 that differs from all others.
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

// Patience is how long to wait for what must happen, however busy the machine is: only a failure takes that long.
const Patience = 3 * time.Minute

// WaitFor waits until done returns true, and fails the test if it takes longer than Patience.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polls
	}
}
