package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHandshakeQueue plays random histories and checks what must hold after each step.
func TestHandshakeQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newHandshakeQueue(Limits{
			Handshakes:           rapid.IntRange(1, 8).Draw(t, "max"),
			HandshakesPerAddress: rapid.IntRange(1, 4).Draw(t, "maxPerSource"),
			HandshakeTimeout:     10 * time.Second,
		})
		h := &queueHistory{T: t, q: q, now: time.Unix(0, 0), owed: make(map[*turn]bool)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.step()
			q.grant(h.now)
			checkQueue(t, q, h.running, h.waiting, h.now)
		}
		for _, one := range slices.Concat(h.running, h.waiting) {
			q.leave(one)
		}
		if q.running != 0 || q.waiting != 0 || len(q.parties) != 0 {
			t.Fatalf("%d run and %d wait of %d sources when all have left", q.running, q.waiting, len(q.parties))
		}
	})
}

// queueHistory is what has become of a handshakeQueue's turns, as they were told it.
type queueHistory struct {
	*rapid.T
	q                *handshakeQueue
	now              time.Time
	running, waiting []*turn
	owed             map[*turn]bool // something of ours, or its client's that has come
}

func (h *queueHistory) step() {
	switch rapid.IntRange(0, 6).Draw(h.T, "step") {
	case 0, 1:
		h.ask(sourceNumber(rapid.IntRange(1, 5).Draw(h.T, "source")), rapid.Bool().Draw(h.T, "whole"), looks{
			library: rapid.Uint64Range(1, 3).Draw(h.T, "library"),
			random:  rapid.Uint64Range(1, 20).Draw(h.T, "random"),
		})
	case 2:
		if len(h.running) > 0 {
			i := rapid.IntRange(0, len(h.running)-1).Draw(h.T, "done")
			h.q.leave(h.running[i])
			h.running = slices.Delete(h.running, i, i+1)
		}
	case 3:
		if len(h.waiting) > 0 {
			i := rapid.IntRange(0, len(h.waiting)-1).Draw(h.T, "gives up")
			h.q.leave(h.waiting[i])
			h.waiting = slices.Delete(h.waiting, i, i+1)
		}
	case 4:
		h.now = h.now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(h.T, "ms")) * time.Millisecond)
	case 5:
		if len(h.running) > 0 {
			one := rapid.SampledFrom(h.running).Draw(h.T, "comes to its end")
			if h.q.goesOn(one, h.now); !one.whole {
				h.Fatal("a hello stays in pieces")
			}
		}
	case 6:
		if len(h.running) > 0 {
			one := rapid.SampledFrom(h.running).Draw(h.T, "of whom something comes, or is done")
			h.owed[one] = !h.owed[one]
		}
	}
}

func (h *queueHistory) ask(from source, whole bool, is looks) {
	one := &turn{from: from, whole: whole, looks: is}
	one.owes = func() bool { return !h.owed[one] }
	one.begin = func() { h.begins(one) }
	one.drop = func() { h.drops(one) }
	h.waiting = append(h.waiting, one)
	h.q.ask(one)
}

func (h *queueHistory) begins(one *turn) {
	place := slices.Index(h.waiting, one)
	for i, w := range h.waiting {
		if w.from == one.from && w != one && comesBefore(w, one, i > place, h.running) {
			h.Fatal("a turn began out of its source's order")
		}
		if w.whole && !one.whole && runningOf(h.running, w.from) < h.q.maxPerSource {
			h.Fatal("a turn without a whole hello began before one that has it")
		}
	}
	h.waiting = slices.Delete(h.waiting, place, place+1)
	h.running = append(h.running, one)
}

func (h *queueHistory) drops(one *turn) {
	if i := slices.Index(h.waiting, one); i >= 0 {
		if one.whole || h.q.parts < h.q.max {
			h.Fatal("dropped while it waited")
		}
		h.waiting = slices.Delete(h.waiting, i, i+1)
		return
	}
	switch {
	case h.owed[one]:
		h.Fatal("dropped though its client owes nothing")
	case !hadItsTime(h.q, h.running, one, h.now):
		h.Fatalf("dropped after %v", h.now.Sub(one.since))
	case len(h.waiting) == 0:
		h.Fatal("dropped though none waits")
	}
	i := slices.Index(h.running, one)
	h.running = slices.Delete(h.running, i, i+1)
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
	checkFiled(t, q)
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

// checkFiled looks whether each source is in the indexes where it belongs, and the line in its order.
func checkFiled(t *rapid.T, q *handshakeQueue) {
	busy, partial, inLine := 0, 0, 0
	for from, p := range q.parties {
		_, noted := q.partial[p]
		if p.from != from || noted != (len(p.parts) > 0) {
			t.Fatal("a source is not noted for what it waits with")
		}
		if noted {
			partial++
		}
		if len(p.running) > 0 {
			if busy++; q.busy[p.inBusy] != p {
				t.Fatal("a source of which some run is not among the busy")
			}
		}
		if len(p.running) < q.maxPerSource && p.foremost() != nil {
			if inLine++; q.line[p.inLine] != p || p != q.line[0] && p.before(q.line[0]) {
				t.Fatal("a source is not in the line, or before who comes first")
			}
		}
	}
	if busy != len(q.busy) || partial != len(q.partial) || inLine != len(q.line) {
		t.Fatalf("%d, %d and %d are filed, want %d, %d and %d", len(q.busy), len(q.partial), len(q.line), busy, partial,
			inLine)
	}
}

// comesBefore reports whether w, of the same source as one, is to begin before it.
func comesBefore(w, one *turn, later bool, running []*turn) bool {
	if w.whole != one.whole {
		return w.whole
	}
	running = slices.DeleteFunc(slices.Clone(running), func(r *turn) bool { return r.from != one.from })
	if a, b := among(w.looks, running), among(one.looks, running); w.whole && a != b {
		return a < b
	}
	return later
}

func runningOf(running []*turn, from source) (n int) {
	for _, r := range running {
		if r.from == from {
			n++
		}
	}
	return n
}

// among is how much the hellos of all are like l.
func among(l looks, all []*turn) (n int) {
	for _, t := range all {
		if t.looks.library == l.library {
			n++
		}
		if t.looks.random == l.random {
			n += len(all)
		}
	}
	return n
}

// hadItsTime reports whether r may be dropped.
func hadItsTime(q *handshakeQueue, running []*turn, r *turn, now time.Time) bool {
	patience, alike := q.patience, 0
	for _, o := range running {
		if o != r && o.from == r.from && (o.looks.library == r.looks.library || o.looks.random == r.looks.random) {
			alike++
		}
	}
	switch {
	case !r.whole:
		patience /= 4
	case alike == 0 && runningOf(running, r.from) > 1:
		patience *= 2
	}
	return r.owes() && now.Sub(r.since) >= patience
}

// roomFor reports, by what runs, whether w could run.
func roomFor(q *handshakeQueue, running []*turn, w *turn, now time.Time) bool {
	if runningOf(running, w.from) >= q.maxPerSource {
		return slices.ContainsFunc(running, func(r *turn) bool { return r.from == w.from && hadItsTime(q, running, r, now) })
	}
	if len(running) < q.max {
		return true
	}
	most, oldestOfMost := 0, time.Time{}
	gives := make(map[source]bool)
	for _, r := range running { // the first of each source has run for longest
		gives[r.from] = gives[r.from] || hadItsTime(q, running, r, now)
		if n := runningOf(running, r.from); n > most || n == most && r.since.Before(oldestOfMost) {
			most, oldestOfMost = n, r.since
		}
	}
	// Which source is the busiest is left to chance where two are.
	busiest := func(r *turn) bool { return runningOf(running, r.from) == most && r.since.Equal(oldestOfMost) }
	return slices.ContainsFunc(running, func(r *turn) bool { return !r.whole && hadItsTime(q, running, r, now) }) ||
		!slices.ContainsFunc(running, func(r *turn) bool { return busiest(r) && !gives[r.from] })
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
