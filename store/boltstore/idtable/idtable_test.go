package idtable

import (
	"maps"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// A table has what a map has, in any history, for IDs that follow one another, that are far apart, and that differ by
// what would give all of them the same home.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table[int]
		want := make(map[uint64]int)
		stride := rapid.SampledFrom([]uint64{1, 3, run, 64, 4096, 1 << 40}).Draw(t, "stride")
		next := 1 + rapid.Uint64Max(1<<20).Draw(t, "first")
		known := func(t *rapid.T) uint64 { return max(1, next-stride*rapid.Uint64Range(0, 50).Draw(t, "back")) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for i := range rapid.SampledFrom([]int{1, 10, 400}).Draw(t, "many") {
					table.Set(next, i)
					want[next] = i
					next += stride
				}
			},
			"change": func(t *rapid.T) {
				id := known(t)
				table.Set(id, -1)
				want[id] = -1
			},
			"delete": func(t *rapid.T) {
				id := known(t)
				table.Delete(id)
				delete(want, id)
			},
			"delete many": func(t *rapid.T) {
				seed := rapid.Uint64().Draw(t, "seed")
				random := rand.New(rand.NewPCG(seed, 0))
				for id := range maps.Clone(want) {
					if random.IntN(4) > 0 {
						table.Delete(id)
						delete(want, id)
					}
				}
			},
			"delete all": func(*rapid.T) {
				for id := range want {
					table.Delete(id)
				}
				clear(want)
				if len(table.slots) > maxIdle {
					t.Fatalf("an empty table keeps %d slots", len(table.slots))
				}
			},
			"": func(t *rapid.T) {
				if got := maps.Collect(table.All()); !maps.Equal(got, want) {
					t.Fatalf("there are %d, want %d", len(got), len(want))
				}
				for id, v := range want {
					if got, has := table.Get(id); !has || got != v {
						t.Fatalf("of %d got %d and %v, want %d", id, got, has, v)
					}
				}
				for _, id := range []uint64{next, next + 1, next + stride, 1 << 63} {
					_, wanted := want[id]
					if _, has := table.Get(id); has != wanted {
						t.Fatalf("%d is there: %v", id, has)
					}
				}
				if len(table.slots) > 0 && 2*len(want) > len(table.slots) {
					t.Fatalf("%d in %d slots", len(want), len(table.slots))
				}
			},
		})
	})
}

// Whoever takes every fourth device's records has IDs that are a power of two apart: none of them is far from its home.
func TestFewPlacesAreLookedAt(t *testing.T) {
	for _, stride := range []uint64{1, 2, 7, run, 64, 1000, 4096, 1 << 20, 1 << 33} {
		var table Table[struct{}]
		far, sum := 0, 0
		for i := range uint64(10_000) {
			id := 1 + i*stride
			table.Set(id, struct{}{})
		}
		for id := range table.All() {
			at, _ := table.find(id)
			d := (at - table.home(id)) & (len(table.slots) - 1)
			far, sum = max(far, d), sum+d
		}
		if far > 256 || sum > 8*10_000 {
			t.Errorf("stride %d: %d places are looked at, at most, and %.1f in the mean", stride, far, float64(sum)/10_000)
		}
		t.Logf("stride %d: at most %d, mean %.2f", stride, far, float64(sum)/10_000)
	}
}

// Nothing is allocated while as many come as go.
func TestAllocatesNothing(t *testing.T) {
	var table Table[[4]uint64]
	id := uint64(0)
	for range 10_000 {
		id++
		table.Set(id, [4]uint64{})
	}
	if got := testing.AllocsPerRun(10_000, func() {
		id++
		table.Set(id, [4]uint64{})
		table.Delete(id - 10_000)
	}); got != 0 {
		t.Errorf("%v allocations for each, want none", got)
	}
}

// BenchmarkWindow compares a table with a map for 10,000 IDs of which one comes and the oldest goes.
func BenchmarkWindow(b *testing.B) {
	const many = 10_000
	type value [4]uint64
	b.Run("table", func(b *testing.B) {
		var table Table[value]
		for id := uint64(1); b.Loop(); id++ {
			table.Set(id, value{})
			if id > many {
				table.Get(id - many)
				table.Delete(id - many)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		table := make(map[uint64]value)
		for id := uint64(1); b.Loop(); id++ {
			table[id] = value{}
			if id > many {
				_ = table[id-many]
				delete(table, id-many)
			}
		}
	})
}
