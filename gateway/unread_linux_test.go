package gateway

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestUnread: a client owes nothing when what it owes lies in our kernel, though the
// goroutine that waits for it has had no processor to read it.
func TestUnread(t *testing.T) {
	a, client := arrived(t)
	a.answered.Store(true)
	if !a.owes() || a.believes() {
		t.Error("before it has answered it owes nothing")
	}
	if _, err := client.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for a.owes() && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if a.owes() || !a.believes() {
		t.Error("it owes what lies unread")
	}
}

// TestOwesNothingOnceWritten: what a client has written it does not owe any more, whenever
// that is asked: before it is read, while it is, and after.
func TestOwesNothingOnceWritten(t *testing.T) {
	a, client := arrived(t)
	server := &prefixed{TCPConn: a.tcp, arrival: a}
	a.front.computing.begin(a.place.from)
	var read atomic.Int64
	next := make(chan bool)
	defer close(next)
	go func() {
		b := make([]byte, 64)
		for range next {
			if _, err := server.Read(b); err != nil {
				return
			}
			read.Add(1)
		}
	}()
	for n := range int64(3000) {
		next <- true
		if _, err := client.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		for a.owes() { // until it has arrived
		}
		for done := false; !done; {
			done = read.Load() > n
			if a.owes() {
				t.Fatalf("byte %d was written, and is owed", n)
			}
		}
	}
}
