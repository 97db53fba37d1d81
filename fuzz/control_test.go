package fuzz

import (
	"bytes"
	"testing"

	"apnsbridge/binproto"
)

func FuzzResponse(f *testing.F) {
	f.Add([]byte{8, 8, 0, 0, 0, 7})
	f.Add([]byte{8, 10, 0xff, 0xff, 0xff, 0xff, 8})
	f.Add([]byte{8, 200, 0, 0, 0})
	f.Add([]byte{})
	f.Add([]byte("HTTP/1.1 400 Bad Request"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := binproto.ParseResponse(b)
		switch {
		case len(b) > 0 && b[0] != 8:
			if err != binproto.UnknownCommand {
				t.Fatalf("got error %v, want UnknownCommand", err)
			}
		case len(b) < 6:
			if err != binproto.ErrShort {
				t.Fatalf("got error %v, want ErrShort", err)
			}
		default:
			if got := r.Append(nil); err != nil || !bytes.Equal(got, b[:6]) {
				t.Fatalf("got %x and error %v, want %x", got, err, b[:6])
			}
		}
	})
}

func FuzzTuple(f *testing.F) {
	good := append([]byte{0x69, 0x21, 0x8e, 0xa0, 0, 32}, make([]byte, 32)...)
	f.Add(good)
	f.Add(bytes.Repeat(good, 3))
	f.Add(good[:37])
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		var again []byte
		rest := stream
		for {
			var tuple binproto.Tuple
			size, err := binproto.ParseTuple(rest, &tuple)
			if err != nil {
				if err != binproto.ErrShort || size != 0 {
					t.Fatalf("got size %d and error %v, want 0 and ErrShort", size, err)
				}
				break
			}
			again = tuple.Append(again)
			rest = rest[size:]
		}
		if len(rest) >= 6 && len(rest) >= 6+int(rest[4])<<8+int(rest[5]) {
			t.Fatalf("a whole tuple is left: %x", rest)
		}
		if again = append(again, rest...); !bytes.Equal(again, stream) {
			t.Fatalf("got %x, want %x", again, stream)
		}
	})
}
