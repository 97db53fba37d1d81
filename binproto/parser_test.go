package binproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

var (
	token32 = bytes.Repeat([]byte{0xab}, 32)
	hello   = []byte(`{"aps":{"alert":"hi"}}`)
)

func frame(items ...[]byte) []byte {
	body := bytes.Join(items, nil)
	b := binary.BigEndian.AppendUint32([]byte{2}, uint32(len(body)))
	return append(b, body...)
}

func item(id byte, data []byte) []byte {
	return appendField([]byte{id}, data)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func fields(token, payload []byte) []byte {
	return appendField(appendField(nil, token), payload)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// frames has one of everything that protocol.md speaks of. The two ways of
// reading, Parse and Large, and the cutting test all go through it.
var frames = []struct {
	name string
	in   []byte
	err  error
	want Notification
}{
	{"simple", join([]byte{0}, fields(token32, hello)), nil,
		Notification{Command: Simple, Token: token32, Payload: hello}},
	{"enhanced", join([]byte{1}, u32(7), u32(1700000000), fields(token32, hello)), nil,
		Notification{Command: Enhanced, Token: token32, Payload: hello, Identifier: 7, HasIdentifier: true,
			Expiry: 1700000000, HasExpiry: true}},
	{"enhanced, identifier and expiry 0", join([]byte{1}, u32(0), u32(0), fields(token32, hello)), nil,
		Notification{Command: Enhanced, Token: token32, Payload: hello, HasIdentifier: true, HasExpiry: true}},
	{"framed, all items", frame(item(1, token32), item(2, hello), item(3, u32(9)), item(4, u32(5)),
		item(5, []byte{5})), nil,
		Notification{Command: Framed, Token: token32, Payload: hello, Identifier: 9, HasIdentifier: true, Expiry: 5,
			HasExpiry: true, Priority: 5, Layout: LayoutOf(1, 2, 3, 4, 5)}},
	{"framed, pushy's order", frame(item(3, u32(9)), item(1, token32), item(2, hello), item(4, u32(5)),
		item(5, []byte{10})), nil,
		Notification{Command: Framed, Token: token32, Payload: hello, Identifier: 9, HasIdentifier: true, Expiry: 5,
			HasExpiry: true, Priority: 10, Layout: LayoutOf(3, 1, 2, 4, 5)}},
	{"framed, no identifier", frame(item(1, token32), item(2, hello)), nil,
		Notification{Command: Framed, Token: token32, Payload: hello, Layout: LayoutOf(1, 2)}},
	{"unknown items are skipped", frame(item(77, []byte("x")), item(1, token32), item(6, nil), item(2, hello)), nil,
		Notification{Command: Framed, Token: token32, Payload: hello, Skipped: 2, Layout: LayoutOf(15, 1, 6, 2)}},
	{"the last of two identifiers, expiries and priorities wins",
		frame(item(3, u32(1)), item(4, u32(2)), item(5, []byte{5}), item(1, token32), item(2, hello), item(3, u32(3)),
			item(4, u32(4)), item(5, []byte{10})), nil,
		Notification{Command: Framed, Token: token32, Payload: hello, Identifier: 3, HasIdentifier: true, Expiry: 4,
			HasExpiry: true, Priority: 10, Layout: LayoutOf(3, 4, 5, 1, 2, 3, 4, 5)}},
	{"one trailing NUL is stripped", join([]byte{0}, fields(token32, append(bytes.Clone(hello), 0))), nil,
		Notification{Command: Simple, Token: token32, Payload: hello}},
	{"only one trailing NUL is stripped", join([]byte{0}, fields(token32, append(bytes.Clone(hello), 0, 0))), nil,
		Notification{Command: Simple, Token: token32, Payload: append(bytes.Clone(hello), 0)}},
	{"token of 100", join([]byte{0}, fields(bytes.Repeat([]byte{1}, 100), hello)), nil,
		Notification{Command: Simple, Token: bytes.Repeat([]byte{1}, 100), Payload: hello}},
	{"payload of 4096", join([]byte{0}, fields(token32, bytes.Repeat([]byte{'x'}, 4096))), nil,
		Notification{Command: Simple, Token: token32, Payload: bytes.Repeat([]byte{'x'}, 4096)}},
	{"payload of 4096 and a NUL", join([]byte{0}, fields(token32, append(bytes.Repeat([]byte{'x'}, 4096), 0))), nil,
		Notification{Command: Simple, Token: token32, Payload: bytes.Repeat([]byte{'x'}, 4096)}},
	{"payload of 4096 behind 60,000 unknown bytes", frame(item(99, make([]byte, 60000)),
		item(2, bytes.Repeat([]byte{'x'}, 4096)), item(3, u32(6)), item(1, token32)), nil,
		Notification{Command: Framed, Token: token32, Payload: bytes.Repeat([]byte{'x'}, 4096), Identifier: 6,
			HasIdentifier: true, Skipped: 1, Layout: LayoutOf(15, 2, 3, 1)}},

	{"no token", join([]byte{1}, u32(7), u32(8), fields(nil, hello)), MissingDeviceToken,
		Notification{Command: Enhanced, Identifier: 7, HasIdentifier: true, Expiry: 8, HasExpiry: true}},
	{"java-apns tests its connection", join([]byte{1}, u32(0), u32(0), fields([]byte{0}, []byte{0})), InvalidTokenSize,
		Notification{Command: Enhanced, HasIdentifier: true, HasExpiry: true}},
	{"token of 31", join([]byte{0}, fields(token32[:31], hello)), InvalidTokenSize, Notification{Command: Simple}},
	{"token of 101", join([]byte{0}, fields(make([]byte, 101), hello)), InvalidTokenSize, Notification{Command: Simple}},
	{"longest token and payload", join([]byte{1}, u32(7), u32(8), fields(make([]byte, 65535), make([]byte, 65535))),
		InvalidTokenSize,
		Notification{Command: Enhanced, Identifier: 7, HasIdentifier: true, Expiry: 8, HasExpiry: true}},
	{"no payload", join([]byte{0}, fields(token32, nil)), MissingPayload, Notification{Command: Simple}},
	{"payload of one NUL", join([]byte{0}, fields(token32, []byte{0})), MissingPayload, Notification{Command: Simple}},
	{"payload of 4097", join([]byte{0}, fields(token32, bytes.Repeat([]byte{'x'}, 4097))), InvalidPayloadSize,
		Notification{Command: Simple}},
	{"payload of 4097 and a NUL", join([]byte{0}, fields(token32, append(bytes.Repeat([]byte{'x'}, 4097), 0))),
		InvalidPayloadSize, Notification{Command: Simple}},
	{"longest payload", join([]byte{0}, fields(token32, make([]byte, 65535))), InvalidPayloadSize,
		Notification{Command: Simple}},
	{"pushy's farewell", frame(item(3, u32(5)), item(1, nil), item(2, nil), item(4, u32(0)), item(5, []byte{10})),
		MissingDeviceToken,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, HasExpiry: true, Priority: 10,
			Layout: LayoutOf(3, 1, 2, 4, 5)}},
	{"empty frame", frame(), MissingDeviceToken, Notification{Command: Framed}},
	{"no token item", frame(item(2, hello), item(3, u32(5))), MissingDeviceToken,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(2, 3)}},
	{"no payload item", frame(item(1, token32), item(3, u32(5))), MissingPayload,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 3)}},
	{"framed payload too long", frame(item(1, token32), item(3, u32(5)), item(2, make([]byte, 60000))), InvalidPayloadSize,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 3, 2)}},
	{"framed token too long", frame(item(1, make([]byte, 60000)), item(3, u32(5)), item(2, hello)), InvalidTokenSize,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 3, 2)}},
	{"identifier of 3 bytes", frame(item(1, token32), item(2, hello), item(3, []byte{1, 2, 3})), Unknown,
		Notification{Command: Framed, Layout: LayoutOf(1, 2, 3)}},
	{"expiry of 8 bytes", frame(item(1, token32), item(2, hello), item(4, make([]byte, 8)), item(3, u32(5))), Unknown,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 2, 4, 3)}},
	{"priority of 4 bytes", frame(item(1, token32), item(2, hello), item(3, u32(5)), item(5, u32(10))), Unknown,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 2, 3, 5)}},
	{"two tokens", frame(item(1, token32), item(1, token32), item(2, hello), item(3, u32(5))), Unknown,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 1, 2, 3)}},
	{"two payloads, the first empty", frame(item(1, token32), item(2, nil), item(3, u32(5)), item(2, hello)), Unknown,
		Notification{Command: Framed, Identifier: 5, HasIdentifier: true, Layout: LayoutOf(1, 2, 3, 2)}},

	{"unknown command", []byte{3, 0, 0}, UnknownCommand, Notification{}},
	{"a TLS hello", []byte{0x16, 3, 1}, UnknownCommand, Notification{}},
	{"frame over 256 KiB", []byte{2, 0, 4, 0, 1}, FrameTooLong, Notification{}},
	{"frame of 4 GiB", []byte{2, 0xff, 0xff, 0xff, 0xff}, FrameTooLong, Notification{}},
	{"item over the end", []byte{2, 0, 0, 0, 4, 1, 0, 2, 0xab}, ItemOverrun, Notification{}},
	{"item head over the end", []byte{2, 0, 0, 0, 2, 1, 0}, ItemOverrun, Notification{}},
}

func check(t *testing.T, got Notification, want Notification) {
	t.Helper()
	if !bytes.Equal(got.Token, want.Token) || !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("got token %x and payload %.60q (%d bytes), want %x and %.60q (%d)", got.Token, got.Payload,
			len(got.Payload), want.Token, want.Payload, len(want.Payload))
	}
	got.Token, got.Payload, want.Token, want.Payload = nil, nil, nil, nil
	if gotFlat, wantFlat := flat(got), flat(want); gotFlat != wantFlat {
		t.Errorf("got %+v, want %+v", gotFlat, wantFlat)
	}
}

// flat is what of a notification can be compared with ==.
func flat(n Notification) any {
	type plain struct {
		id, expiry       uint32
		layout           Layout
		skipped          uint16
		command          Command
		priority         uint8
		hasID, hasExpiry bool
	}
	return plain{n.Identifier, n.Expiry, n.Layout, n.Skipped, n.Command, n.Priority, n.HasIdentifier, n.HasExpiry}
}

func isViolation(err error) bool {
	var v Violation
	return errors.As(err, &v)
}

func TestParse(t *testing.T) {
	for _, tt := range frames {
		t.Run(tt.name, func(t *testing.T) {
			in := append(bytes.Clone(tt.in), 0xee, 0xee) // what follows does not matter
			var n Notification
			size, err := DefaultParser().Parse(in, &n)
			if err != tt.err {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if isViolation(err) {
				if size != 0 {
					t.Errorf("got size %d with a violation, want 0", size)
				}
				return
			}
			if size != len(tt.in) {
				t.Errorf("got size %d, want %d", size, len(tt.in))
			}
			check(t, n, tt.want)
		})
	}
}

// Every prefix of a frame asks for more, and for a Large only where the frame
// is a large one.
func TestParsePrefixes(t *testing.T) {
	for _, tt := range frames {
		if isViolation(tt.err) {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			var n Notification
			for cut := range tt.in {
				size, err := DefaultParser().Parse(tt.in[:cut:cut], &n)
				large := err == ErrLarge && len(tt.in) > Ordinary
				if size != 0 || (err != ErrShort && !large) {
					t.Fatalf("cut at %d of %d: got size %d and error %v", cut, len(tt.in), size, err)
				}
				if cut >= Ordinary && err != ErrLarge {
					t.Fatalf("cut at %d of %d: got %v, want ErrLarge", cut, len(tt.in), err)
				}
			}
		})
	}
}

// A Large says what Parse says, however the frame is cut.
func TestLarge(t *testing.T) {
	for _, tt := range frames {
		for _, piece := range []int{1, 2, 3, 7, 100, 5000, 1 << 20} {
			l := DefaultParser().Large()
			var n Notification
			in := append(bytes.Clone(tt.in), 0xee)
			used, err := 0, error(ErrShort)
			for err == ErrShort {
				if used > len(tt.in) {
					t.Fatalf("%s in pieces of %d: read %d bytes of %d", tt.name, piece, used, len(tt.in))
				}
				var m int
				m, err = l.Feed(in[used:min(used+piece, len(in))], &n)
				used += m
			}
			if err != tt.err {
				t.Fatalf("%s in pieces of %d: got error %v, want %v", tt.name, piece, err, tt.err)
			}
			if isViolation(err) {
				continue
			}
			if used != len(tt.in) {
				t.Errorf("%s in pieces of %d: used %d bytes, want %d", tt.name, piece, used, len(tt.in))
			}
			check(t, n, tt.want)
		}
	}
}

// A Large never holds more than it set out with: its notification points into
// the buffer, and a hostile frame must not make it grow.
func TestLargeDoesNotGrow(t *testing.T) {
	for _, tt := range frames {
		l := DefaultParser().Large()
		before := cap(l.kept)
		var n Notification
		for i := range tt.in {
			if _, err := l.Feed(tt.in[i:i+1], &n); err != ErrShort {
				break
			}
		}
		if cap(l.kept) != before {
			t.Errorf("%s: buffer grew from %d to %d bytes", tt.name, before, cap(l.kept))
		}
	}
}

// What is appended parses again to the same.
func TestAppendParse(t *testing.T) {
	for _, tt := range frames {
		if tt.err != nil || tt.want.Skipped > 0 || bytes.HasSuffix(tt.want.Payload, []byte{0}) {
			continue // Append writes neither unknown items nor the NUL that Parse takes away
		}
		t.Run(tt.name, func(t *testing.T) {
			var n Notification
			b := tt.want.Append(nil)
			size, err := DefaultParser().Parse(b, &n)
			if err != nil || size != len(b) {
				t.Fatalf("got size %d and error %v for %d bytes %.80x", size, err, len(b), b)
			}
			check(t, n, tt.want)
		})
	}
}

func TestAppendGolden(t *testing.T) {
	n := Notification{Command: Framed, Token: token32[:2], Payload: []byte("{}"), Identifier: 0x01020304,
		HasIdentifier: true, Expiry: 5, HasExpiry: true, Priority: 10}
	for _, tt := range []struct {
		command Command
		want    string
	}{
		{Simple, "\x00\x00\x02\xab\xab\x00\x02{}"},
		{Enhanced, "\x01\x01\x02\x03\x04\x00\x00\x00\x05\x00\x02\xab\xab\x00\x02{}"},
		{Framed, "\x02\x00\x00\x00\x1c\x01\x00\x02\xab\xab\x02\x00\x02{}\x03\x00\x04\x01\x02\x03\x04\x04\x00\x04\x00\x00\x00\x05\x05\x00\x01\x0a"},
	} {
		n.Command = tt.command
		if got := string(n.Append([]byte("before"))); got != "before"+tt.want {
			t.Errorf("command %d: got %x, want %x", tt.command, got, tt.want)
		}
	}
}

func TestPushPriority(t *testing.T) {
	for sent, want := range map[uint8]uint8{0: 10, 1: 1, 2: 10, 5: 5, 9: 10, 10: 10, 255: 10} {
		if got := (&Notification{Priority: sent}).PushPriority(); got != want {
			t.Errorf("priority %d: got %d, want %d", sent, got, want)
		}
	}
}

func TestParseAllocs(t *testing.T) {
	parser := DefaultParser()
	var n Notification
	for _, tt := range frames {
		allocs := testing.AllocsPerRun(100, func() {
			parser.Parse(tt.in, &n)
			parser.Parse(tt.in[:len(tt.in)-1], &n)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, allocs)
		}
	}
}

func TestStatusText(t *testing.T) {
	for status, want := range map[Status]string{
		NoError: "no errors encountered", InvalidToken: "invalid token", Shutdown: "shutdown", Unknown: "unknown error",
		42: "status 42",
	} {
		if got := status.Error(); got != want {
			t.Errorf("status %d: got %q, want %q", uint8(status), got, want)
		}
	}
}
