package bridge

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHeldRecords(t *testing.T) {
	now := time.Unix(1000, 0)
	fresh := func() *record { return new(record) }
	asked := func() *record { return &record{plan: plan{attempts: 1}} }
	expired := func() *record { return &record{expires: 1000} }
	tests := []struct {
		name    string
		records []*record
		probe   int // its index; -1: none
		expired []int
	}{
		{"nothing", nil, -1, nil},
		{"the first", []*record{fresh(), fresh()}, 0, nil},
		{"the first that was never asked about", []*record{asked(), asked(), fresh(), fresh()}, 2, nil},
		{"the first of those asked about", []*record{asked(), asked()}, 0, nil},
		{"not an expired one", []*record{expired(), fresh(), expired()}, 1, []int{0, 2}},
		{"all expired", []*record{expired(), expired()}, -1, []int{0, 1}},
		{"not yet expired", []*record{{expires: 1001}}, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h heldRecords
			for _, r := range tt.records {
				h.add(r)
			}
			probe, left := h.takeProbe(now)
			if got := slices.Index(tt.records, probe); got != tt.probe {
				t.Errorf("the probe is %d, want %d", got, tt.probe)
			}
			var gotExpired []int
			for _, r := range left {
				gotExpired = append(gotExpired, slices.Index(tt.records, r))
			}
			if !slices.Equal(gotExpired, tt.expired) {
				t.Errorf("expired are %v, want %v", gotExpired, tt.expired)
			}
			var want []*record
			for i, r := range tt.records {
				if i != tt.probe && !slices.Contains(tt.expired, i) {
					want = append(want, r)
				}
			}
			if got := h.releaseAll(); !slices.Equal(got, want) || h.len() != 0 {
				t.Errorf("%d are released in order, %d stay; want %d, 0", len(got), h.len(), len(want))
			}
		})
	}
}

// Each held record has its turn as a probe before any has a second one.
func TestHeldRecordsTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heldRecords
		all := make(map[*record]int)
		for range rapid.IntRange(1, 20).Draw(t, "records") {
			r := &record{plan: plan{attempts: rapid.IntRange(0, 1).Draw(t, "attempts")}}
			all[r] = 0
			h.add(r)
		}
		for range 3 * len(all) {
			probe, _ := h.takeProbe(time.Unix(1000, 0))
			probe.plan.attempts++
			all[probe]++
			h.add(probe)
		}
		for _, turns := range all {
			if turns != 3 {
				t.Fatalf("one had %d turns of %d, want 3", turns, 3*len(all))
			}
		}
	})
}
