package gateway

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// arrived is an arrival over a socket, and its client.
func arrived(t *testing.T) (*arrival, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a := newArrival(&front{ctx: context.Background(), computing: newComputing()}, c.(*net.TCPConn), labelled{})
	t.Cleanup(a.cancel)
	return a, client
}

// A client that has answered our hello is reset when its handshake was evicted, however its
// answer was received. On a busy machine the handshake may still read what comes after its
// deadline was set: Go's poller wakes it for both.
func TestEvictedClientAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		answered, owed bool
		writes         bool
		reset          bool
	}{
		{"its answer was read", true, true, false, true},
		{"its answer comes", true, false, true, true},
		{"it goes on with its hello", false, false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, client := arrived(t)
			a.deadline = time.Now().Add(time.Minute)
			if !tt.reset {
				a.deadline = time.Now().Add(50 * time.Millisecond)
			}
			a.answered.Store(tt.answered)
			a.owed.Store(tt.owed)
			go func() {
				a.ignore()
				a.tcp.Close()
			}()
			if tt.writes {
				if _, err := client.Write([]byte("more")); err != nil {
					t.Fatal(err)
				}
			}
			client.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := client.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) != tt.reset {
				t.Errorf("the client reads %v; want a reset: %v", err, tt.reset)
			}
		})
	}
}
