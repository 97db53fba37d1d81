package gateway

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// A provider that makes us write and does not read is cut off: a loop waits for no
// connection.
func TestLoopWireNeverWaits(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		defer unix.Close(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	w := &loopWire{conn: &Conn{fd: pair[0]}}
	answer := bytes.Repeat([]byte{1}, 1000) // many KeyUpdates
	for err == nil {
		if w.sent > 64<<20 {
			t.Fatal("the socket takes everything")
		}
		_, err = w.Write(answer)
	}
	if err != errSendBuffer {
		t.Errorf("got %v, want errSendBuffer", err)
	}
	if w.sent == 0 {
		t.Error("nothing was written before")
	}
}
