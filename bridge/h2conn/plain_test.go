package h2conn

import (
	"bytes"
	"testing"
)

// Every byte is judged by itself, wherever it stands among others.
func TestPlain(t *testing.T) {
	for b := range 256 {
		want := b >= ' ' && b != 0x7f || b == '\t'
		for _, others := range []byte{'a', ' ', '~', '\t', 0x80, 0xff} {
			for length := range 20 {
				for at := range length {
					v := bytes.Repeat([]byte{others}, length)
					v[at] = byte(b)
					if got := plain(v); got != want {
						t.Fatalf("%x among %x, byte %d of %d: %v, want %v", b, others, at, length, got, want)
					}
				}
			}
		}
	}
}
