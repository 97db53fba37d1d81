package histogram

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestCells(t *testing.T) {
	if len(bounds)+1 != cellCount {
		t.Fatalf("there are %d bounds for %d cells", len(bounds), cellCount)
	}
	check := func(ns uint64) {
		want, _ := slices.BinarySearch(bounds, ns)
		if got := cellOf(ns); got != want {
			t.Fatalf("%d ns are in cell %d, want %d", ns, got, want)
		}
	}
	for _, bound := range bounds {
		check(bound - 1)
		check(bound)
		check(bound + 1)
	}
	for place := range 63 {
		check(1 << place)
		check(1<<place - 1)
	}
	for range 100_000 {
		check(rand.Uint64() >> (1 + rand.IntN(63)))
	}
}

// Both kinds of buckets hold what the definitions of Prometheus put into them.
func TestBuckets(t *testing.T) {
	var h Histogram
	var all []time.Duration
	observe := func(d time.Duration) {
		h.Observe(d)
		all = append(all, max(d, 0))
	}
	for _, d := range []time.Duration{-time.Second, 0, 1, 61035, 61036, time.Millisecond, time.Millisecond + 1, time.Hour,
		500 * time.Hour} {
		observe(d)
	}
	for range 10_000 {
		observe(time.Duration(rand.Int64N(1 << (10 + rand.IntN(40)))))
	}
	var sum time.Duration
	classic := make([]uint64, len(Classic))
	zero, native := uint64(0), make(map[int]int64)
	for _, d := range all {
		sum += d
		for i, bound := range Classic {
			if d <= bound {
				classic[i]++
			}
		}
		if d.Seconds() <= ZeroSeconds {
			zero++
		} else { // the bucket i holds what is in (2^((i-1)/4), 2^(i/4)]
			native[int(math.Ceil(math.Log2(d.Seconds())*4))]++
		}
	}
	if h.Sum() != sum || h.Count() != uint64(len(all)) {
		t.Errorf("got %v of %d, want %v of %d", h.Sum(), h.Count(), sum, len(all))
	}
	if got := h.Buckets(); !slices.Equal(got[:], classic) {
		t.Errorf("got the classic buckets %v, want %v", got, classic)
	}
	gotZero, got := h.Native()
	if gotZero != zero || len(got) != len(native) {
		t.Errorf("got %d and %d native buckets, want %d and %d", gotZero, len(got), zero, len(native))
	}
	for i, want := range native {
		if got[i] != want {
			t.Errorf("the native bucket %d has %d, want %d", i, got[i], want)
		}
	}
}

// What is longer than any bound is not lost.
func TestLongest(t *testing.T) {
	var h Histogram
	h.Observe(math.MaxInt64)
	zero, native := h.Native()
	if h.Count() != 1 || zero != 0 || native[highest<<Schema+1] != 1 || h.Buckets()[len(Classic)-1] != 0 {
		t.Errorf("got %d, %d, %v and %v", h.Count(), zero, native, h.Buckets())
	}
}

func TestObserveAllocs(t *testing.T) {
	var h Histogram
	d := time.Microsecond
	if n := testing.AllocsPerRun(1000, func() {
		h.Observe(d)
		d = (d*17 + 3) & (1<<50 - 1)
	}); n != 0 {
		t.Errorf("an observation allocates %v times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	b.ReportAllocs()
	var h Histogram
	d := time.Microsecond
	for b.Loop() {
		h.Observe(d)
		d = (d*17 + 3) & (1<<40 - 1)
	}
}
