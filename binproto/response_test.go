package binproto

import (
	"bytes"
	"testing"
)

func TestResponse(t *testing.T) {
	want := []byte{8, 8, 0x01, 0x02, 0x03, 0x04}
	r := Response{Status: InvalidToken, Identifier: 0x01020304}
	got := r.Append(nil)
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if back, err := ParseResponse(got); back != r || err != nil {
		t.Errorf("got %+v and error %v, want %+v", back, err, r)
	}
	for cut := range got {
		if _, err := ParseResponse(got[:cut]); err != ErrShort {
			t.Errorf("cut at %d: got %v, want ErrShort", cut, err)
		}
	}
	if _, err := ParseResponse([]byte("HTTP/1.1")); err != UnknownCommand {
		t.Errorf("got %v, want UnknownCommand", err)
	}
}

func TestTuple(t *testing.T) {
	in := Tuple{Time: 0x65538000, Token: token32}
	b := in.Append(nil)
	if want := append([]byte{0x65, 0x53, 0x80, 0x00, 0, 32}, token32...); !bytes.Equal(b, want) {
		t.Fatalf("got % x, want % x", b, want)
	}
	var out Tuple
	size, err := ParseTuple(append(b, 1, 2, 3), &out)
	if size != 38 || err != nil || out.Time != in.Time || !bytes.Equal(out.Token, in.Token) {
		t.Errorf("got size %d, error %v and %+v, want 38 and %+v", size, err, out, in)
	}
	for cut := range b {
		if size, err := ParseTuple(b[:cut], &out); size != 0 || err != ErrShort {
			t.Errorf("cut at %d: got size %d and error %v, want ErrShort", cut, size, err)
		}
	}
}

func TestControlAllocs(t *testing.T) {
	buf := make([]byte, 0, 64)
	var tuple Tuple
	allocs := testing.AllocsPerRun(100, func() {
		b := Response{Status: InvalidToken, Identifier: 1}.Append(buf)
		ParseResponse(b)
		b = Tuple{Time: 1, Token: token32}.Append(buf)
		ParseTuple(b, &tuple)
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
