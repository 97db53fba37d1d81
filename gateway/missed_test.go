//go:build linux

package gateway

import (
	"net"
	"testing"
	"time"
)

// A packet that was written while something lay unread has been missed if a reset
// answers it: the provider had gone. One that was acknowledged says nothing.
func TestMissed(t *testing.T) {
	for _, gone := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		provider, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		provider.Write([]byte("a frame"))
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		f, err := ours.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c := &Conn{fd: int(f.Fd()), last: &lastWord{packet: true}, server: &Server{}}
		c.wire = &loopWire{conn: c}
		c.stream = plain{&wire{Conn: c.wire}}
		wait := func(what string, done func() bool) {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal(what)
				}
			}
		}
		over := func() bool { p, _ := progressOf(c.fd); return p.over }
		wait("the frame", func() bool { return received(c.fd) > 0 })
		if gone {
			provider.Close()
			wait("the FIN", func() bool { return finCame(c.fd) })
		}
		if err := c.say(time.Now()); err != nil {
			t.Fatal(err)
		}
		if !gone {
			wait("the acknowledgement", func() bool { n, _ := unacknowledged(c.fd); return n == 0 })
			provider.(*net.TCPConn).SetLinger(0)
			provider.Close()
		}
		wait("the reset", over)
		if !c.packet.interrupts {
			t.Error("what lay unread was not seen")
		}
		if got := c.missed(); got != gone {
			t.Errorf("gone before the packet %t: missed is %t", gone, got)
		}
	}
}
