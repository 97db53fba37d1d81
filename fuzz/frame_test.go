package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"apnsbridge/binproto"
)

// FuzzFrame compares Parse and Large with the plain decoder on the start of a
// stream.
func FuzzFrame(f *testing.F) {
	for _, stream := range streams(f) {
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		want, outcome := decode(stream)
		var n binproto.Notification
		size, err := binproto.DefaultParser().Parse(stream, &n)
		var violation binproto.Violation
		switch outcome {
		case unusable:
			if size != 0 || !errors.As(err, &violation) {
				t.Fatalf("Parse: got size %d and error %v, want 0 and a violation", size, err)
			}
			if _, err := large(stream, &n); err != binproto.ErrShort && err != violation {
				t.Fatalf("Large: got error %v, want %v", err, violation)
			}
		case short:
			wantErr := binproto.ErrShort
			if want.size > binproto.Ordinary {
				wantErr = binproto.ErrLarge
			}
			if size != 0 || err != wantErr {
				t.Fatalf("Parse: got size %d and error %v, want 0 and %v", size, err, wantErr)
			}
			if _, err := large(stream, &n); err != binproto.ErrShort && !errors.As(err, &violation) {
				t.Fatalf("Large: got error %v, want ErrShort, or a violation", err)
			}
		case good:
			compare(t, "Parse", size, err, &n, want)
			n = binproto.Notification{}
			size, err = large(stream, &n)
			compare(t, "Large", size, err, &n, want)
		}
	})
}

// large reads a frame with a Large, in one piece.
func large(stream []byte, n *binproto.Notification) (size int, err error) {
	return binproto.DefaultParser().Large().Feed(stream, n)
}

func compare(t *testing.T, by string, size int, err error, n *binproto.Notification, want frame) {
	t.Helper()
	var status binproto.Status
	if err != nil && !errors.As(err, &status) {
		t.Fatalf("%s: got error %v, want status %d", by, err, want.status)
	}
	if size != want.size || byte(status) != want.status {
		t.Fatalf("%s: got size %d and status %d, want %d and %d", by, size, status, want.size, want.status)
	}
	if got, want := text(said(n)), text(want); got != want {
		t.Fatalf("%s:\ngot  %s\nwant %s", by, got, want)
	}
}

// said is a notification in the terms of the plain decoder.
func said(n *binproto.Notification) frame {
	f := frame{
		command: byte(n.Command), token: string(n.Token), payload: string(n.Payload), priority: n.Priority,
		items: n.Layout.AppendItems(nil), unknown: int(n.Skipped),
	}
	if n.HasIdentifier {
		f.identifier = &n.Identifier
	}
	if n.HasExpiry {
		f.expiry = &n.Expiry
	}
	return f
}

// text is a frame to be compared and read. Of its items it has what a Layout
// keeps: the first eight, an id of 0 or over 14 as 15.
func text(f frame) string {
	items := bytes.Clone(f.items[:min(8, len(f.items))])
	for i, id := range items {
		if id == 0 || id > 15 {
			items[i] = 15
		}
	}
	optional := func(v *uint32) string {
		if v == nil {
			return "none"
		}
		return fmt.Sprint(*v)
	}
	return fmt.Sprintf("command %d, identifier %s, expiry %s, priority %d, items %v, %d unknown, token %x, payload %q",
		f.command, optional(f.identifier), optional(f.expiry), f.priority, items, f.unknown, f.token, f.payload)
}

// FuzzAppendParse says that what is read and written again reads the same.
func FuzzAppendParse(f *testing.F) {
	for _, stream := range streams(f) {
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		var n, again binproto.Notification
		if _, err := binproto.DefaultParser().Parse(stream, &n); err != nil || n.Layout.Len() >= 8 {
			return // of more than eight items a Layout does not know all
		}
		want := said(&n)
		if bytes.HasSuffix(n.Payload, []byte{0}) {
			n.Payload = append(bytes.Clone(n.Payload), 0) // for the one that is stripped
		}
		written := n.Append(nil)
		size, err := binproto.DefaultParser().Parse(written, &again)
		want.size = len(written)
		compare(t, "Parse", size, err, &again, want)
		if twice := n.Append([]byte("before")); string(twice) != "before"+string(written) {
			t.Fatalf("got %x behind other bytes, want %x", twice, written)
		}
	})
}
