package gateway

import (
	"testing"

	"pgregory.net/rapid"
)

// TestHelloComplete cuts a ClientHello into records and at bytes as it likes:
// it is complete with its last byte, and not before.
func TestHelloComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 40_000).Draw(t, "size")
		message := append([]byte{1, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...)
		var records []byte
		for rest := message; len(rest) > 0; {
			n := rapid.IntRange(1, min(len(rest), maxPlaintext)).Draw(t, "record")
			if rapid.Bool().Draw(t, "full") {
				n = min(len(rest), maxPlaintext)
			}
			records = append(records, 22, 3, 1, byte(n>>8), byte(n))
			records = append(records, rest[:n]...)
			rest = rest[n:]
		}
		if !completeIn(t, records) {
			t.Fatal("a complete one is not")
		}
		if cut := rapid.IntRange(0, len(records)-1).Draw(t, "cut"); completeIn(t, records[:cut]) {
			t.Fatalf("complete with %d of %d bytes", cut, len(records))
		}
	})
}

// completeIn feeds b in pieces.
func completeIn(t *rapid.T, b []byte) bool {
	var scan helloScan
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "piece")
		if scan.feed(b[:n]) {
			return true
		}
		b = b[n:]
	}
	return false
}

// TestHeldBytes: what a connection can hold without room fits its bound.
func TestHeldBytes(t *testing.T) {
	for _, unparsed := range []int{1, 48 << 10, 64 << 10, 100_000, 1 << 20} {
		l := Limits{UnparsedBytes: unparsed}.withDefaults()
		if held := l.readBuffer() + maxPlaintext + 8<<10; held > l.UnparsedBytes {
			t.Errorf("unparsed_bytes %d: %d can be held, %d may", unparsed, held, l.UnparsedBytes)
		}
	}
}
