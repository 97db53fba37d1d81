package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

func u16(n int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func fields(token, payload []byte) []byte {
	return slices.Concat(u16(len(token)), token, u16(len(payload)), payload)
}

func item(id byte, data []byte) []byte { return slices.Concat([]byte{id}, u16(len(data)), data) }

func framed(items ...[]byte) []byte {
	body := slices.Concat(items...)
	return slices.Concat([]byte{2}, u32(uint32(len(body))), body)
}

func number(id uint32, token, payload []byte) []byte {
	return slices.Concat([]byte{1}, u32(id), u32(0), fields(token, payload))
}

var hello = []byte(`{"aps":{"alert":"hi"}}`)

// oddInput is the table of protocol.md, row for row. Each is sent between two
// good frames.
var oddInput = []struct {
	name    string
	in      []byte
	status  binproto.Status
	id      uint32
	hasID   bool
	payload []byte // of a frame that is taken
	ends    bool   // the stream cannot be read behind it
	cut     bool   // it is never complete
}{
	{name: "token length 0", in: number(7, nil, hello), status: 2, id: 7, hasID: true},
	{name: "pushy's farewell", in: framed(item(3, u32(5)), item(1, nil), item(2, nil), item(4, u32(0)),
		item(5, []byte{10})), status: 2, id: 5, hasID: true},
	{name: "java-apns tests its connection", in: number(0, []byte{0}, []byte{0}), status: 5, hasID: true},
	{name: "token length 31", in: number(7, token32[:31], hello), status: 5, id: 7, hasID: true},
	{name: "token length 101", in: number(7, make([]byte, 101), hello), status: 5, id: 7, hasID: true},
	{name: "token length 100", in: number(7, make([]byte, 100), hello), id: 7, hasID: true, payload: hello},
	{name: "payload length 0", in: number(7, token32, nil), status: 4, id: 7, hasID: true},
	{name: "payload length 4097", in: number(7, token32, bytes.Repeat([]byte{'x'}, 4097)), status: 7, id: 7, hasID: true},
	{name: "payload of 2049", in: number(7, token32, bytes.Repeat([]byte{'x'}, 2049)), id: 7, hasID: true,
		payload: bytes.Repeat([]byte{'x'}, 2049)},
	{name: "131,083 bytes", in: number(7, make([]byte, 65535), make([]byte, 65535)), status: 5, id: 7, hasID: true},
	{name: "65,535 bytes of payload", in: number(7, token32, make([]byte, 65535)), status: 7, id: 7, hasID: true},
	{name: "frame of 256 KiB", in: framed(item(3, u32(7)), item(1, token32), item(2, make([]byte, 65535)),
		item(9, make([]byte, 65535)), item(9, make([]byte, 65535)), item(9,
			make([]byte, 65485))), status: 7, id: 7, hasID: true},
	{name: "payload is not JSON", in: number(7, token32, []byte("\xff not JSON <&>\u2028")), id: 7, hasID: true,
		payload: []byte("\xff not JSON <&>\u2028")},
	{name: "one trailing NUL", in: number(7, token32, append(slices.Clone(hello), 0)), id: 7, hasID: true, payload: hello},
	{name: "nothing but a NUL", in: number(7, token32, []byte{0}), status: 4, id: 7, hasID: true},
	{name: "no token", in: framed(item(2, hello), item(3, u32(7))), status: 2, id: 7, hasID: true},
	{name: "no payload", in: framed(item(1, token32), item(3, u32(7))), status: 4, id: 7, hasID: true},
	{name: "identifier of 3 bytes", in: framed(item(1, token32), item(2, hello), item(3, []byte{1, 2, 3})), status: 255},
	{name: "expiry of 8 bytes", in: framed(item(1, token32), item(2, hello), item(3, u32(7)),
		item(4, make([]byte, 8))), status: 255, id: 7, hasID: true},
	{name: "priority of 4 bytes", in: framed(item(1, token32), item(2, hello), item(3, u32(7)), item(5, u32(10))),
		status: 255, id: 7, hasID: true},
	{name: "two tokens", in: framed(item(1, token32), item(1, token32), item(2, hello), item(3, u32(7))), status: 255,
		id: 7, hasID: true},
	{name: "two payloads", in: framed(item(1, token32), item(2, hello), item(2, hello), item(3, u32(7))), status: 255,
		id: 7, hasID: true},
	{name: "unknown item", in: framed(item(77, []byte("x")), item(1, token32), item(2, hello), item(3, u32(7))), id: 7,
		hasID: true, payload: hello},
	{name: "two identifiers", in: framed(item(3, u32(1)), item(1, token32), item(2, hello), item(3, u32(7))), id: 7,
		hasID: true, payload: hello},
	{name: "pushy's order", in: framed(item(3, u32(7)), item(1, token32), item(2, hello), item(4, u32(5)),
		item(5, []byte{10})), id: 7, hasID: true, payload: hello},
	{name: "identifier 0", in: number(0, token32, hello), hasID: true, payload: hello},
	{name: "command 0", in: slices.Concat([]byte{0}, fields(token32, hello)), payload: hello},
	{name: "frame without identifier", in: framed(item(1, token32), item(2, hello)), payload: hello},
	{name: "unknown command", in: []byte{3, 0, 0}, ends: true},
	{name: "HTTP", in: []byte("GET / HTTP/1.1\r\n\r\n"), ends: true},
	{name: "item over the end", in: []byte{2, 0, 0, 0, 4, 1, 0, 2, 0xab}, ends: true},
	{name: "item over the end of a large frame", in: slices.Concat([]byte{2}, u32(60000), item(9, make([]byte, 59000)),
		[]byte{1, 0xff, 0xff}, make([]byte, 2000)), ends: true},
	{name: "frame over 256 KiB", in: []byte{2, 0, 4, 0, 1}, ends: true},
	{name: "cut in the head", in: []byte{1, 0, 0}, cut: true},
	{name: "cut in the payload", in: number(7, token32, hello)[:60], cut: true},
	{name: "cut in a large frame", in: number(7, token32, make([]byte, 65535))[:40000], cut: true},
}

func TestOddInput(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	for _, tt := range oddInput {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Stats()
			c := dial(t, s, tls.VersionTLS12)
			r := ss.next()
			in := append(enhanced(nil, 1, 1), tt.in...)
			if !tt.cut {
				in = enhanced(in, 2, 2)
			}
			write(t, c, in)
			if !tt.ends {
				c.CloseWrite()
			}
			r.closeWhenOver()
			if _, err := c.ReadResponse(); err == nil {
				t.Error("got a packet, want a clean end")
			}
			c.Close()
			if err := r.waitClosed(); err != nil {
				t.Errorf("session closed with %v", err)
			}

			after := s.Stats()
			violations := func(v gateway.ViolationStats) uint64 { return v.UnknownCommand + v.ItemOverrun + v.FrameTooLong }
			if got := violations(after.Violations) - violations(before.Violations); (got == 1) != tt.ends {
				t.Errorf("%d violations counted", got)
			}
			if got := after.CutFrames - before.CutFrames; (got == 1) != tt.cut && !tt.ends {
				t.Errorf("%d cut frames counted", got)
			}
			want := 3
			if tt.ends || tt.cut {
				want = 1
			}
			if len(r.frames) != want {
				t.Fatalf("got %d frames, want %d", len(r.frames), want)
			}
			if want == 1 {
				return
			}
			got := r.frames[1]
			if got.status != tt.status || got.Identifier != tt.id || got.HasIdentifier != tt.hasID ||
				!bytes.Equal(got.Payload, tt.payload) {
				t.Errorf("got status %d, identifier %d (%v), payload %.40q, want %d, %d (%v), %.40q",
					got.status, got.Identifier, got.HasIdentifier, got.Payload, tt.status, tt.id, tt.hasID, tt.payload)
			}
			if r.frames[2].Identifier != 2 {
				t.Errorf("the frame behind it is %d, want 2", r.frames[2].Identifier)
			}
		})
	}
}

// TestUnreadableBehindFailure: the failure of an earlier frame is still told.
func TestUnreadableBehindFailure(t *testing.T) {
	t.Parallel()
	ss := newSessions(t)
	s := serve(t, ss.open, nil)
	c := dial(t, s, tls.VersionTLS13)
	r := ss.next()
	write(t, c, append(enhanced(nil, 1, 3), 99))
	eventually(t, "the stream is given up", r.isOver)
	write(t, c, make([]byte, 100_000)) // is not read as frames
	r.conn.Fail(binproto.InvalidToken, 2, time.Second)
	want := binproto.Response{Status: binproto.InvalidToken, Identifier: 2}
	if got, err := c.ReadResponse(); got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	wantEOF(t, c)
	c.Close()
	if err := r.waitClosed(); err != nil {
		t.Error(err)
	}
	r.wantNumbers(1, 3)
}

// slowly writes a byte at a time, each in a segment of its own.
type slowly struct{ net.Conn }

func (s slowly) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestByteByByte(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version uint16) {
		ss := newSessions(t)
		s := serve(t, ss.open, nil)
		tcp, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		c := tls.Client(slowly{tcp}, clientTLS(version))
		frames := enhanced(nil, 1, 10)
		for i := range frames {
			write(t, c, frames[i:i+1]) // a TLS record of one byte, in 20 and more segments
			if i == 200 {
				break
			}
		}
		write(t, c, frames[201:])
		c.Close()
		r := ss.next()
		r.closeWhenOver()
		if err := r.waitClosed(); err != nil {
			t.Error(err)
		}
		r.wantNumbers(1, 10)
	})
}
