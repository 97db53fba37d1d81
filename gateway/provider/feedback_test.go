package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"apnsbridge/binproto"
)

func tuples(n int) []byte {
	var b []byte
	for i := range n {
		b = binproto.Tuple{Time: uint32(1000 + i), Token: token(i)}.Append(b)
	}
	return b
}

// checkTuples wants the tuples of tuples(n) one after another.
func checkTuples(t *testing.T) func(binproto.Tuple) error {
	i := 0
	return func(got binproto.Tuple) error {
		if got.Time != uint32(1000+i) || !bytes.Equal(got.Token, token(i)) {
			t.Errorf("tuple %d: got %d and %x", i, got.Time, got.Token)
		}
		i++
		return nil
	}
}

func TestReadFeedback(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []step
		want  int
	}{
		"nothing":        {[]step{handshake, end, expectEnd}, 0},
		"three":          {[]step{send(tuples(3)), end, expectEnd}, 3},
		"cut by a FIN":   {[]step{send(tuples(3)), cut, expectEnd}, 3},
		"many":           {[]step{send(tuples(50000)), end, expectEnd}, 50000},
		"across records": {[]step{send(tuples(2)[:50]), send(tuples(2)[50:]), end, expectEnd}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, tt.steps)
			n, err := ReadFeedback(t.Context(), c.Addr, c.TLS, checkTuples(t))
			if err != nil || n != tt.want {
				t.Errorf("got %d tuples and error %v, want %d", n, err, tt.want)
			}
		})
	}
}

// A reader that fails is seen by the service, which keeps its list.
func TestReadFeedbackFails(t *testing.T) {
	seen := func(a *apple) error {
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			return errors.New("the service did not see that its reader failed")
		}
		return nil
	}
	c := serve(t, []step{send(tuples(3)), seen})
	full := errors.New("disk full")
	n, err := ReadFeedback(t.Context(), c.Addr, c.TLS, func(binproto.Tuple) error { return full })
	if !errors.Is(err, full) || n != 0 {
		t.Errorf("got %d tuples and error %v, want %v", n, err, full)
	}

	c = serve(t, []step{send(tuples(3)), seen})
	ctx, cancel := context.WithCancel(t.Context())
	n, err = ReadFeedback(ctx, c.Addr, c.TLS, func(u binproto.Tuple) error {
		if u.Time == 1002 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("got %d tuples and error %v, want 3 and %v", n, err, context.Canceled)
	}
}

func TestReadTuples(t *testing.T) {
	if n, err := readTuples(iotest.OneByteReader(bytes.NewReader(tuples(20))), checkTuples(t)); n != 20 || err != nil {
		t.Errorf("byte by byte: got %d tuples and error %v, want 20", n, err)
	}
	if n, err := readTuples(iotest.DataErrReader(bytes.NewReader(tuples(20))), checkTuples(t)); n != 20 || err != nil {
		t.Errorf("data with the end: got %d tuples and error %v, want 20", n, err)
	}
	longest := binproto.Tuple{Token: make([]byte, 0xffff)}.Append(nil)
	if n, err := readTuples(bytes.NewReader(longest), func(binproto.Tuple) error { return nil }); n != 1 || err != nil {
		t.Errorf("longest: got %d tuples and error %v, want 1", n, err)
	}
	short := tuples(2)
	n, err := readTuples(bytes.NewReader(short[:len(short)-1]), checkTuples(t))
	if n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "37 bytes behind 1 tuples") {
		t.Errorf("cut short: got %d tuples and error %v, want 1 and %v", n, err, io.ErrUnexpectedEOF)
	}
}
