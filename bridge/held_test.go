package bridge

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/bridge/upstream"
)

func TestHeldRecords(t *testing.T) {
	now := time.Unix(1000, 0)
	fresh := func() *record { return new(record) }
	asked := func() *record { return &record{Push: upstream.Push{Attempts: 1}} }
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
			left := h.takeExpired(now)
			probe := h.takeProbe()
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
			r := &record{Push: upstream.Push{Attempts: rapid.IntRange(0, 1).Draw(t, "attempts")}}
			all[r] = 0
			h.add(r)
		}
		for range 3 * len(all) {
			probe := h.takeProbe()
			probe.Attempts++
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

// The line against a plain list, in which everything is looked at each time.
func TestHeldRecordsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heldRecords
		var model []*record
		now := time.Unix(1000, 0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := &record{expires: rapid.SampledFrom([]int64{0, 0, now.Unix(), now.Unix() + 2, now.Unix() + 5}).Draw(t, "expires")}
				r.Attempts = rapid.IntRange(0, 1).Draw(t, "attempts")
				h.add(r)
				model = append(model, r)
			},
			"expire": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
				var want []*record
				model = slices.DeleteFunc(model, func(r *record) bool {
					gone := r.expires != 0 && r.expires <= now.Unix()
					if gone {
						want = append(want, r)
					}
					return gone
				})
				if got := h.takeExpired(now); !slices.Equal(got, want) {
					t.Fatalf("%d have expired, want %d", len(got), len(want))
				}
			},
			"probe": func(t *rapid.T) {
				var want *record
				if len(model) > 0 {
					i := max(0, slices.IndexFunc(model, func(r *record) bool { return r.Attempts == 0 }))
					want = model[i]
					model = slices.Delete(model, i, i+1)
				}
				if h.takeProbe() != want {
					t.Fatal("another probe")
				}
			},
			"release": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "released")
				want := model[:min(n, len(model))]
				if got := h.release(n); !slices.Equal(got, want) {
					t.Fatalf("%d are released, want %d in their order", len(got), len(want))
				}
				model = slices.Clone(model[len(want):])
			},
			"": func(t *rapid.T) {
				if !slices.Equal(h.list, model) {
					t.Fatalf("%d wait, want %d in their order", h.len(), len(model))
				}
			},
		})
	})
}
