package link

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	simple   = &binproto.Notification{Command: binproto.Simple, Token: []byte{1, 2}, Payload: []byte("{}")}
	rejected = &binproto.Notification{Command: binproto.Framed, HasIdentifier: true, Identifier: 0x01020304,
		Layout: 0x21, Skipped: 3}
)

// Golden bytes: what goes over the wire, byte by byte.
func TestGoldenBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"hello", appendHello(nil, "gw1"), "01 00000000 00000004  01 677731"},
		{"alive", appendMessage(nil, alive, 0, 1), "02 00000000 00000001  01"},
		{"open", appendMessage(nil, open, 7, 'x', 'y'), "03 00000007 00000002  7879"},
		{"push", appendPush(nil, 7, simple), "04 00000007 00000009  00 0002 0102 0002 7b7d"},
		{"reject", appendReject(nil, 7, rejected, 5), "05 00000007 0000000d  05 02 01 01020304 00000021 0003"},
		{"read on", appendMessage(nil, readOn, 7), "06 00000007 00000000"},
		{"shutdown", appendMessage(nil, shutdown, 7, flag(true)), "07 00000007 00000001  01"},
		{"close", appendMessage(nil, closed, 7, tooLate), "08 00000007 00000001  02"},
		{"read", appendMessage(nil, read, 8, 'x'), "09 00000008 00000001  78"},
		{"written", appendText(nil, written, 8, nil, nil), "0a 00000008 00000000"},
		{"finished", appendText(nil, finished, 8, []byte{1, 0}, errors.New("no")), "0b 00000008 00000004  01 00 6e6f"},
		{"leave", appendLeave(nil, 7, 2*time.Second), "0c 00000007 00000004  000007d0"},
		{"credit", appendCredit(nil, 7, 250, 65536), "10 00000007 00000008  000000fa 00010000"},
		{"fail", appendFail(nil, 7, failure{8, 0x01020304, 2 * time.Second}),
			"11 00000007 00000009  08 01020304 000007d0"},
		{"end", appendMessage(nil, end, 7), "12 00000007 00000000"},
		{"gone", appendText(nil, gone, 7, nil, errors.New("late")), "13 00000007 00000004  6c617465"},
		{"tuples", appendMessage(nil, tuples, 8, 0xff), "14 00000008 00000001  ff"},
		{"finish", appendMessage(nil, finish, 8), "15 00000008 00000000"},
	} {
		if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s: got %x, want %x", tt.name, tt.got, want)
		}
		h, err := parseHeader(tt.got)
		if err != nil || headLen+h.length != len(tt.got) {
			t.Errorf("%s: got %+v and error %v of %d bytes", tt.name, h, err, len(tt.got))
		}
	}
}

func TestParse(t *testing.T) {
	var n binproto.Notification
	if status, err := parseReject(appendReject(nil, 1, rejected, 5)[headLen:], &n); status != 5 || err != nil ||
		!same(n, *rejected) {
		t.Errorf("got status %d, %+v and error %v", status, n, err)
	}
	if a, b, err := parseCredit(appendCredit(nil, 1, 2, 3)[headLen:]); a != 2 || b != 3 || err != nil {
		t.Errorf("got credit %d, %d and error %v", a, b, err)
	}
	for given, want := range map[failure]failure{
		{2, 3, 4 * time.Millisecond}: {2, 3, 4 * time.Millisecond},
		{2, 3, -time.Second}:         {2, 3, 0},
		{2, 3, 1 << 62}:              {2, 3, math.MaxUint32 * time.Millisecond},
	} {
		if got, err := parseFail(appendFail(nil, 1, given)[headLen:]); got != want || err != nil {
			t.Errorf("got %+v and error %v, want %+v", got, err, want)
		}
	}
	if node, err := parseHello(appendHello(nil, "gw1")[headLen:]); node != "gw1" || err != nil {
		t.Errorf("got node %q and error %v", node, err)
	}
	if got := appendText(nil, gone, 1, nil, errors.New(strings.Repeat("x", 5000))); len(got) != headLen+maxText {
		t.Errorf("got a reason of %d bytes, want it clipped to maxText", len(got)-headLen)
	}
}

func same(a, b binproto.Notification) bool {
	return a.Command == b.Command && a.HasIdentifier == b.HasIdentifier && a.Identifier == b.Identifier &&
		a.Layout == b.Layout && a.Skipped == b.Skipped
}

// A body that is cut short anywhere is an error, and so is one with an extra byte.
func TestParseCut(t *testing.T) {
	var n binproto.Notification
	for name, tt := range map[string]struct {
		whole []byte
		parse func([]byte) error
	}{
		"reject": {appendReject(nil, 1, rejected, 5),
			func(b []byte) error { _, err := parseReject(b, &n); return err }},
		"credit": {appendCredit(nil, 1, 2, 3), func(b []byte) error { _, _, err := parseCredit(b); return err }},
		"fail":   {appendFail(nil, 1, failure{2, 3, 4}), func(b []byte) error { _, err := parseFail(b); return err }},
	} {
		body := tt.whole[headLen:]
		if err := tt.parse(body); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
		for i := range body {
			if tt.parse(body[:i]) == nil {
				t.Errorf("%s of %d bytes: got no error", name, i)
			}
		}
		if tt.parse(append(body, 0)) == nil {
			t.Errorf("%s with one byte more: got no error", name)
		}
	}
}
