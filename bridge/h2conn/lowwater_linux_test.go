package h2conn

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestLowWater waits for bytes as the reader does, and is not woken for fewer
// than the mark.
func TestLowWater(t *testing.T) {
	near, far := tcpPair(t)
	mark := newLowWater(near)
	for _, c := range []struct {
		name string
		mark int
		far  func()
		want error
	}{
		{"below the mark", 100, func() { far.Write(make([]byte, 99)) }, os.ErrDeadlineExceeded},
		{"at the mark", 100, func() { far.Write(make([]byte, 1)) }, nil},
		{"at a lower mark", 20, func() {}, nil},
		{"the end, below the mark", 1000, func() { far.Close() }, nil},
	} {
		near.SetReadDeadline(time.Now().Add(testPatience))
		asked := false
		err := mark.socket.Read(func(uintptr) (woken bool) {
			if asked {
				return true
			}
			asked = true // what happens from here on is not missed
			if !mark.set(c.mark) {
				t.Errorf("%s: the mark cannot be set", c.name)
			}
			c.far()
			if c.want != nil { // counted from the write on
				near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			}
			return false
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}
