package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHandshakeQueue plays random histories and looks at what must hold behind
// each step.
func TestHandshakeQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			Handshakes:           rapid.IntRange(1, 8).Draw(t, "max"),
			HandshakesPerAddress: rapid.IntRange(1, 4).Draw(t, "maxPerSource"),
			HandshakeTimeout:     10 * time.Second,
		}
		q := newHandshakeQueue(limits)
		now := time.Unix(0, 0)
		var running, waiting []*turn // as the callbacks tell it
		ask := func(from source) {
			one := &turn{from: from}
			one.begin = func() {
				first := slices.IndexFunc(waiting, func(w *turn) bool { return w.from == from })
				if first < 0 || waiting[first] != one {
					t.Fatal("a turn began out of its source's order")
				}
				waiting = slices.Delete(waiting, first, first+1)
				running = append(running, one)
			}
			one.drop = func() {
				if now.Sub(one.since) < q.patience {
					t.Fatalf("dropped after %v", now.Sub(one.since))
				}
				if len(waiting) == 0 {
					t.Fatal("dropped for nobody")
				}
				i := slices.Index(running, one)
				running = slices.Delete(running, i, i+1)
			}
			waiting = append(waiting, one)
			q.ask(one)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				ask(source(netip.AddrFrom4([4]byte{127, 0, 0, byte(rapid.IntRange(1, 5).Draw(t, "source"))})))
			case 2:
				if len(running) > 0 {
					i := rapid.IntRange(0, len(running)-1).Draw(t, "done")
					q.leave(running[i])
					running = slices.Delete(running, i, i+1)
				}
			case 3:
				if len(waiting) > 0 {
					i := rapid.IntRange(0, len(waiting)-1).Draw(t, "gives up")
					q.leave(waiting[i])
					waiting = slices.Delete(waiting, i, i+1)
				}
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			}
			q.grant(now)
			checkQueue(t, q, running, waiting, now)
		}
		for _, one := range slices.Concat(running, waiting) {
			q.leave(one)
		}
		if q.running != 0 || q.waiting != 0 || len(q.parties) != 0 {
			t.Fatalf("%d run and %d wait of %d sources when all have left", q.running, q.waiting, len(q.parties))
		}
	})
}

func checkQueue(t *rapid.T, q *handshakeQueue, running, waiting []*turn, now time.Time) {
	if q.running != len(running) || q.waiting != len(waiting) {
		t.Fatalf("counts %d running and %d waiting, there are %d and %d", q.running, q.waiting, len(running), len(waiting))
	}
	if len(running) > q.max {
		t.Fatalf("%d run, %d may", len(running), q.max)
	}
	of := func(from source) (n int, oldest time.Duration) {
		for _, r := range running {
			if r.from == from {
				n++
				oldest = max(oldest, now.Sub(r.since))
			}
		}
		return n, oldest
	}
	most, oldestOfMost := 0, time.Duration(0)
	for _, r := range running {
		if n, oldest := of(r.from); n > most || n == most && oldest > oldestOfMost {
			most, oldestOfMost = n, oldest
		}
	}
	for _, w := range waiting {
		n, oldest := of(w.from)
		switch {
		case n > q.maxPerSource:
			t.Fatalf("%d of one source run, %d may", n, q.maxPerSource)
		case n == q.maxPerSource:
			if oldest >= q.patience {
				t.Fatalf("one waits, and one of its own source has run for %v", oldest)
			}
		case len(running) < q.max:
			t.Fatal("one waits though there is a place")
		case oldestOfMost >= q.patience:
			t.Fatalf("one waits, and one of the busiest source has run for %v", oldestOfMost)
		}
	}
}

func TestSourceOf(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	}
	for _, tt := range tests {
		if same := sourceOf(netip.MustParseAddr(tt.a)) == sourceOf(netip.MustParseAddr(tt.b)); same != tt.same {
			t.Errorf("%s and %s: same source is %v, want %v", tt.a, tt.b, same, tt.same)
		}
	}
}

// TestHelloComplete cuts a ClientHello into records and at bytes as it likes:
// it is complete with its last byte, and not before.
func TestHelloComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 40_000).Draw(t, "size")
		message := append([]byte{1, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...)
		var records []byte
		for rest := message; len(rest) > 0; {
			n := rapid.IntRange(1, min(len(rest), maxPlaintext)).Draw(t, "record")
			if rapid.Bool().Draw(t, "full") {
				n = min(len(rest), maxPlaintext)
			}
			records = append(records, 22, 3, 1, byte(n>>8), byte(n))
			records = append(records, rest[:n]...)
			rest = rest[n:]
		}
		if !helloComplete(records) {
			t.Fatal("a complete one is not")
		}
		if cut := rapid.IntRange(0, len(records)-1).Draw(t, "cut"); helloComplete(records[:cut]) {
			t.Fatalf("complete with %d of %d bytes", cut, len(records))
		}
	})
}

// TestHeldBytes: what a connection can hold without room fits its bound.
func TestHeldBytes(t *testing.T) {
	for _, unparsed := range []int{1, 48 << 10, 64 << 10, 100_000, 1 << 20} {
		l := Limits{UnparsedBytes: unparsed}.withDefaults()
		if held := l.readBuffer() + maxPlaintext + 8<<10; held > l.UnparsedBytes {
			t.Errorf("unparsed_bytes %d: %d can be held, %d may", unparsed, held, l.UnparsedBytes)
		}
	}
}
