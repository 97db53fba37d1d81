package upstream

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"testing"
)

func TestUUID(t *testing.T) {
	u := UUID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got, want := u.String(), "00112233-4455-6677-8899-aabbccddeeff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	version4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		s := NewUUID().String()
		if !version4.MatchString(s) || seen[s] {
			t.Fatalf("%s is no new version 4 UUID", s)
		}
		seen[s] = true
	}
}

// Every byte has its two digits, in each place.
func TestHexDigits(t *testing.T) {
	for x := range 256 {
		for at := range 4 {
			word := uint32(0x01020304)&^(0xff<<(8*at)) | uint32(x)<<(8*at)
			if got, want := string(binary.BigEndian.AppendUint64(nil, hexDigits(word))), fmt.Sprintf("%08x", word); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
}
