package fuzz

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"apnsbridge/binproto"
)

// FuzzStream says that a stream has the same frames however it is cut. Each
// byte of cuts is the size of a piece, 0 for 4096; the last is what is left.
func FuzzStream(f *testing.F) {
	for _, stream := range streams(f) {
		if len(stream) > 1<<16 {
			continue // too slow to be worth it: FuzzFrame has them
		}
		f.Add(stream, []byte{1, 2, 3, 40, 7, 100, 255})
		f.Add(slices.Concat(stream, stream), []byte{5, 0, 0, 1, 1})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		whole, pieces := new(connection), new(connection)
		whole.read(t, stream)
		for _, cut := range cuts {
			size := int(cut)
			if size == 0 {
				size = 4096
			}
			size = min(size, len(stream))
			pieces.read(t, stream[:size:size])
			stream = stream[size:]
		}
		pieces.read(t, stream)
		if !reflect.DeepEqual(whole.frames, pieces.frames) {
			t.Fatalf("of pieces %d\ngot  %q\nwant %q", cuts, texts(pieces.frames), texts(whole.frames))
		}
		if whole.end != pieces.end {
			t.Fatalf("got end %v of pieces %d, want %v", pieces.end, cuts, whole.end)
		}
	})
}

// connection reads a stream as it comes, as the gateway does: what is not a
// whole frame yet is kept, unless it is large.
type connection struct {
	buf    []byte
	large  *binproto.Large
	frames []frame
	end    error // the violation that ended it
}

func (c *connection) read(t *testing.T, piece []byte) {
	t.Helper()
	c.buf = append(c.buf, piece...)
	for c.end == nil {
		var n binproto.Notification
		size, err := c.next(&n)
		var violation binproto.Violation
		switch {
		case errors.As(err, &violation):
			c.end, c.buf = err, nil
			return
		case err == binproto.ErrLarge:
			c.large = binproto.DefaultParser().Large()
			continue
		case err == binproto.ErrShort:
			c.buf = c.buf[size:]
			if len(c.buf) >= binproto.Ordinary {
				t.Fatalf("%d bytes are kept of an ordinary frame", len(c.buf))
			}
			return
		}
		if size < 1 || size > len(c.buf) {
			t.Fatalf("a frame of %d bytes in %d", size, len(c.buf))
		}
		f := said(&n)
		if err != nil {
			f.status = byte(err.(binproto.Status))
		}
		c.frames = append(c.frames, f)
		c.buf, c.large = c.buf[size:], nil
	}
}

func texts(frames []frame) []string {
	var all []string
	for _, f := range frames {
		all = append(all, text(f)+", "+binproto.Status(f.status).Error())
	}
	return all
}

func (c *connection) next(n *binproto.Notification) (size int, err error) {
	if c.large != nil {
		return c.large.Feed(c.buf, n)
	}
	return binproto.DefaultParser().Parse(c.buf, n)
}
