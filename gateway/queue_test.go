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
		ask := func(from source, whole bool) {
			one := &turn{from: from, whole: whole}
			one.begin = func() {
				for i, w := range waiting {
					if w.from == from && w != one && (w.whole && !one.whole || w.whole == one.whole && i > slices.Index(waiting, one)) {
						t.Fatal("a turn began out of its source's order")
					}
					if w.whole && !one.whole && runningOf(running, w.from) < q.maxPerSource {
						t.Fatal("a turn without a whole hello began before one that has it")
					}
				}
				i := slices.Index(waiting, one)
				waiting = slices.Delete(waiting, i, i+1)
				running = append(running, one)
			}
			one.drop = func() {
				if i := slices.Index(waiting, one); i >= 0 {
					if one.whole || q.parts < q.max {
						t.Fatal("dropped while it waited")
					}
					waiting = slices.Delete(waiting, i, i+1)
					return
				}
				patience := q.patience
				if !one.whole {
					patience /= 4
				}
				if now.Sub(one.since) < patience {
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
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				ask(source(netip.AddrFrom4([4]byte{127, 0, 0, byte(rapid.IntRange(1, 5).Draw(t, "source"))})), rapid.Bool().Draw(t, "whole"))
			case 5:
				if len(running) > 0 {
					one := running[rapid.IntRange(0, len(running)-1).Draw(t, "comes to its end")]
					q.goesOn(one, now)
					if !one.whole {
						t.Fatal("a hello stays in pieces")
					}
				}
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
	partial := 0
	for _, p := range q.parties {
		partial += p.partial
	}
	for _, r := range running {
		if !r.whole {
			partial--
		}
	}
	if partial != 0 {
		t.Fatalf("%d more are counted without a whole hello than are", partial)
	}
	for _, r := range running {
		if n := runningOf(running, r.from); n > q.maxPerSource {
			t.Fatalf("%d of one source run, %d may", n, q.maxPerSource)
		}
	}
	for _, w := range waiting {
		if roomFor(q, running, w, now) {
			t.Fatal("one waits though there is a place, or one that has had its time")
		}
	}
}

func runningOf(running []*turn, from source) (n int) {
	for _, r := range running {
		if r.from == from {
			n++
		}
	}
	return n
}

// hadItsTime reports whether r may be dropped.
func hadItsTime(q *handshakeQueue, r *turn, now time.Time) bool {
	if !r.whole {
		return now.Sub(r.since) >= q.patience/4
	}
	return now.Sub(r.since) >= q.patience
}

// roomFor reports, by what runs, whether w could run.
func roomFor(q *handshakeQueue, running []*turn, w *turn, now time.Time) bool {
	if runningOf(running, w.from) >= q.maxPerSource {
		return slices.ContainsFunc(running, func(r *turn) bool { return r.from == w.from && hadItsTime(q, r, now) })
	}
	if len(running) < q.max {
		return true
	}
	most, oldestOfMost := 0, time.Time{}
	for _, r := range running { // the first of each source has run for longest
		if n := runningOf(running, r.from); n > most || n == most && r.since.Before(oldestOfMost) {
			most, oldestOfMost = n, r.since
		}
	}
	return slices.ContainsFunc(running, func(r *turn) bool {
		return hadItsTime(q, r, now) && (!r.whole || runningOf(running, r.from) == most && r.since.Equal(oldestOfMost))
	})
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
		if !completeIn(t, records) {
			t.Fatal("a complete one is not")
		}
		if cut := rapid.IntRange(0, len(records)-1).Draw(t, "cut"); completeIn(t, records[:cut]) {
			t.Fatalf("complete with %d of %d bytes", cut, len(records))
		}
	})
}

// completeIn feeds b in pieces.
func completeIn(t *rapid.T, b []byte) bool {
	var scan helloScan
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "piece")
		if scan.feed(b[:n]) {
			return true
		}
		b = b[n:]
	}
	return false
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
