package conversation

import (
	"net/netip"
	"testing"
	"time"
)

// plain is a notification of a provider in a test.
type plain struct{ token, payload []byte }

func (p *plain) Token() []byte   { return p.token }
func (p *plain) Payload() []byte { return p.payload }

var home = netip.MustParseAddr("192.0.2.1")

// goodPath opens a connection on which nothing fails, with half a window of notifications
// that have no verdict yet. next takes one more and settles the oldest.
func goodPath() (next func()) {
	now := time.Now()
	l := New(defaultOptions(), now)
	c := l.Open(home, true, now)
	content := &plain{make([]byte, 32), make([]byte, 200)}
	id := uint32(0)
	take := func() {
		if _, forward := c.Take(content, Frame{Identifier: id, HasIdentifier: true, Command: 1, Expiry: NoExpiry},
			now); !forward {
			panic("recognised")
		}
		id++
	}
	for range 500 {
		take()
	}
	s := Seq(0)
	next = func() {
		take()
		c.Settle(s, Accepted, now)
		s++
		for d, ok := l.Next(); ok; d, ok = l.Next() {
			if d.Do != Release {
				panic("not a good path")
			}
		}
	}
	next() // the first to leave the window is kept
	next()
	return next
}

func TestGoodPathAllocs(t *testing.T) {
	if n := testing.AllocsPerRun(10000, goodPath()); n != 0 {
		t.Errorf("got %v allocations a notification, want 0", n)
	}
}

// BenchmarkEpisodeOpen is BenchmarkGoodPath while a packet is out on another connection:
// every frame is hashed and looked up.
func BenchmarkEpisodeOpen(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	l := New(defaultOptions(), now)
	failing := l.Open(home, true, now)
	s, _ := failing.Take(&plain{[]byte("x"), nil}, Frame{HasIdentifier: true}, now)
	failing.Refuse(s, 8, "", now)
	c := l.Open(home, true, now)
	content := &plain{make([]byte, 32), make([]byte, 200)}
	for b.Loop() {
		s, _ := c.Take(content, Frame{Identifier: uint32(l.frames), HasIdentifier: true, Command: 1, Expiry: NoExpiry}, now)
		c.Settle(s, Accepted, now)
		for _, ok := l.Next(); ok; _, ok = l.Next() {
		}
	}
}

// BenchmarkGoodPath takes one notification through window and ledger: taken, settled, released.
func BenchmarkGoodPath(b *testing.B) {
	b.ReportAllocs()
	next := goodPath()
	for b.Loop() {
		next()
	}
}
