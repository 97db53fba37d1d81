package upstream

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The queue gives what a slice would, in any history; what it has given it no longer holds, and
// when it is empty it is small.
func TestPushQueueInAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q pushQueue
		var want []*Push
		var out []*Push // popped, and may be put back
		taken := uint64(0)
		many := rapid.SampledFrom([]int{1, 10, 700}).Draw(t, "at once")
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				for range many {
					p := new(Push)
					q.push(p)
					want = append(want, p)
				}
			},
			"pop": func(t *rapid.T) {
				for range min(many, len(want)) {
					p := q.pop()
					if p != want[0] {
						t.Fatal("another one was popped")
					}
					want, out, taken = want[1:], append(out, p), taken+1
				}
			},
			"put back": func(*rapid.T) {
				for _, p := range slices.Backward(out) {
					q.putBack(p)
					want, taken = slices.Insert(want, 0, p), taken-1
				}
				out = nil
			},
			"forget": func(*rapid.T) { out = nil },
			"take all": func(t *rapid.T) {
				if got := q.takeAll(); !slices.Equal(got, want) {
					t.Fatalf("%d were taken, want %d in order", len(got), len(want))
				}
				taken, want, out = taken+uint64(len(want)), nil, nil
			},
			"": func(t *rapid.T) {
				if !slices.Equal(q.all(), want) || q.size != len(want) || q.taken != taken || q.empty() != (len(want) == 0) {
					t.Fatalf("%d are in it, and %d were taken; want %d and %d", q.size, q.taken, len(want), taken)
				}
				if first := q.first(); len(want) > 0 && first != want[0] || len(want) == 0 && first != nil {
					t.Fatal("another one is the first")
				}
				held := 0
				for _, p := range q.ring {
					if p != nil {
						held++
					}
				}
				if held != len(want) || held == 0 && len(q.ring) > smallRing {
					t.Fatalf("it holds %d in a ring of %d, want %d", held, len(q.ring), len(want))
				}
			},
		})
	})
}
