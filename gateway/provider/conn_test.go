package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/binproto"
)

func dial(t *testing.T, c *Client) *Conn {
	t.Helper()
	conn, err := Dial(t.Context(), c.Addr, c.TLS)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// frames is n numbered frames.
func frames(n int) []byte {
	var b []byte
	i := uint32(0)
	for note := range notes(binproto.Enhanced, n) {
		i++
		note.Identifier = i
		b = note.Append(b)
	}
	return b
}

// Thousands of frames in a single write, half closed, and the packet still read.
func TestConnPipeline(t *testing.T) {
	conn := dial(t, serve(t, []step{expect(1, 5000), expectEnd, refuse(binproto.InvalidToken, 7), end}))
	if _, err := conn.Write(frames(5000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want := binproto.Response{Status: binproto.InvalidToken, Identifier: 7}
	if r, err := conn.ReadResponse(); err != nil || r != want {
		t.Errorf("got %+v and error %v, want %+v", r, err, want)
	}
	if _, err := conn.ReadResponse(); err != io.EOF {
		t.Errorf("got error %v behind the packet, want %v", err, io.EOF)
	}
}

func TestConnByteByByte(t *testing.T) {
	conn := dial(t, serve(t, []step{expect(1, 2), end}))
	for _, b := range frames(2) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.ReadResponse(); err != io.EOF {
		t.Errorf("got error %v, want %v", err, io.EOF)
	}
}

func TestConnAbort(t *testing.T) {
	aborted := func(a *apple) error {
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			return errors.New("got no reset but " + err.Error())
		}
		return nil
	}
	conn := dial(t, serve(t, []step{expect(1, 1), send([]byte{0}), aborted}))
	conn.Write(frames(1))
	if _, err := conn.Read(make([]byte, 1)); err != nil { // now the frame is read
		t.Fatal(err)
	}
	if err := conn.Abort(); err != nil {
		t.Fatal(err)
	}
}

func TestReadResponse(t *testing.T) {
	six := binproto.Response{Status: binproto.Shutdown, Identifier: 1}.Append(nil)
	for _, tt := range []struct {
		name  string
		steps []step
		want  string // what the error says
	}{
		{"whole", []step{send(six)}, ""},
		{"in two records", []step{send(six[:1]), send(six[1:])}, ""},
		{"cut short", []step{send(six[:3]), end}, "3 of the 6 bytes"},
		{"something else", []step{send([]byte("HTTP/1.1 400"))}, "48 54 54 50 2f 31: binproto: unknown command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, serve(t, tt.steps))
			r, err := conn.ReadResponse()
			if tt.want == "" && (err != nil || !bytes.Equal(r.Append(nil), six)) {
				t.Errorf("got %+v and error %v, want % x", r, err, six)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDialUnknownServer(t *testing.T) {
	c := serve(t, []step{func(a *apple) error {
		if err := a.Handshake(); err == nil {
			return errors.New("the provider accepted another's certificate")
		}
		return nil
	}})
	c.TLS.ServerName = "gateway.example"
	_, err := Dial(context.Background(), c.Addr, c.TLS)
	if _, port, _ := net.SplitHostPort(c.Addr); err == nil || !strings.Contains(err.Error(), port) {
		t.Errorf("got error %v, want one that names the port", err)
	}
}
