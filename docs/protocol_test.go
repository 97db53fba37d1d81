// Package docs_test holds the documents to the code.
package docs_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"apnsbridge/binproto"
)

// The bytes that protocol.md shows are those that binproto reads and writes.
func TestProtocolBytes(t *testing.T) {
	shown := blocksOfBytes(t, "protocol.md")
	token := []byte(strings.Repeat("\xa1", 32))
	const identifier, expiry = 7, 1704067200
	notification := binproto.Notification{Token: token, Payload: []byte(`{"aps":{}}`)}
	enhanced := notification
	enhanced.Command, enhanced.Identifier, enhanced.Expiry = binproto.Enhanced, identifier, expiry
	enhanced.HasIdentifier, enhanced.HasExpiry = true, true
	framed := enhanced
	framed.Command, framed.Priority, framed.Layout = binproto.Framed, 10, binproto.LayoutOf(1, 2, 3, 4, 5)
	want := [][]byte{
		notification.Append(nil),
		enhanced.Append(nil),
		framed.Append(nil),
		binproto.Response{Status: binproto.InvalidToken, Identifier: identifier}.Append(nil),
		binproto.Tuple{Time: expiry, Token: token}.Append(nil),
	}
	if len(shown) != len(want) {
		t.Fatalf("protocol.md shows %d blocks of bytes, want %d", len(shown), len(want))
	}
	for i := range want {
		if string(shown[i]) != string(want[i]) {
			t.Errorf("block %d of protocol.md\nshows  %x\nis     %x", i+1, shown[i], want[i])
		}
	}
}

var digits = regexp.MustCompile(`^(?:[0-9a-f]{2})+$`)

// blocksOfBytes are the blocks of a document whose lines begin with bytes in hexadecimal;
// what stands behind two or more blanks is said of them.
func blocksOfBytes(t *testing.T, name string) (blocks [][]byte) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 {
			continue
		}
		var bytes []byte
		for line := range strings.Lines(block) {
			said, _, _ := strings.Cut(line, "  ")
			for _, word := range strings.Fields(said) {
				if !digits.MatchString(word) {
					t.Fatalf("%s: %q are no bytes", name, word)
				}
				b, err := hex.DecodeString(word)
				if err != nil {
					t.Fatal(err)
				}
				bytes = append(bytes, b...)
			}
		}
		blocks = append(blocks, bytes)
	}
	return blocks
}
