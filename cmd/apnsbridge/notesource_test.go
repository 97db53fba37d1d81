package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"apnsbridge/binproto"
)

// read returns what send would send: the token and payload of each notification.
func read(s *noteSource) (all []string) {
	for n := range s.notes() {
		all = append(all, fmt.Sprintf("%x %s", n.Token, n.Payload))
	}
	return all
}

// Lists of tokens come from databases, logs and Xcode's console.
func TestNotesFromLines(t *testing.T) {
	const lines = "\xef\xbb\xbf# devices\r\n" +
		"\n" +
		"0a0b {\"a\":1}\r\n" +
		"  0A0B\n" +
		"<0a0b0c0d 0e0f>\n" +
		"<0a0b0c0d 0e0f> {\"b\": 2}\n" +
		"0a\t{}\n" +
		"#0c\n" +
		"0d\n"
	want := []string{`0a0b {"a":1}`, "0a0b p", "0a0b0c0d0e0f p", `0a0b0c0d0e0f {"b": 2}`, "0a {}", "0d p"}
	s := &noteSource{template: binproto.Notification{Payload: []byte("p")}, lines: strings.NewReader(lines), name: "f"}
	if got := read(s); !slices.Equal(got, want) || s.err != nil {
		t.Errorf("got %q and %v, want %q", got, s.err, want)
	}
	s = &noteSource{count: 2, lines: strings.NewReader(lines)}
	if got := read(s); len(got) != 2 {
		t.Errorf("got %q, want the first two", got)
	}
	s = &noteSource{lines: strings.NewReader("0a\n\nhello\n"), name: "f"}
	if got := read(s); len(got) != 1 || s.err == nil || !strings.HasPrefix(s.err.Error(), "f:3: ") {
		t.Errorf("got %q and %v", got, s.err)
	}
}

func TestNotesForDevices(t *testing.T) {
	token, err := parseToken("<01010101 02020202>")
	if err != nil || hex.EncodeToString(token) != "0101010102020202" {
		t.Fatalf("got %x, %v", token, err)
	}
	s := &noteSource{template: binproto.Notification{Token: token}, count: 5, devices: 3}
	want := []string{"0101010100000000 ", "0101010100000001 ", "0101010100000002 ", "0101010100000000 ",
		"0101010100000001 "}
	if got := read(s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
