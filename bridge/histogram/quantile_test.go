package histogram

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	for _, count := range []int{1, 2, 99, 10_000} {
		lots := rand.New(rand.NewPCG(1, uint64(count)))
		var h, before Histogram
		for range 50 {
			before.Observe(time.Hour)
		}
		h.Add(&before)
		all := make([]time.Duration, count)
		for i := range all {
			all[i] = time.Duration(lots.ExpFloat64() * float64(100*time.Millisecond))
			h.Observe(all[i])
		}
		since := h.Since(&before)
		if got := since.Count(); got != uint64(count) {
			t.Fatalf("counted %d, want %d", got, count)
		}
		slices.Sort(all)
		for _, part := range []float64{0.01, 0.5, 0.99, 1} {
			exact := all[max(0, int(part*float64(count)+0.999)-1)]
			got := since.Quantile(part)
			if got < exact || float64(got) > 1.2*float64(exact)+62e3 {
				t.Errorf("%d durations, quantile %v: got %v, exactly %v", count, part, got, exact)
			}
		}
	}
	var none Histogram
	if got := none.Quantile(0.99); got != 0 {
		t.Errorf("nothing: got %v", got)
	}
	if again := none.Since(&Histogram{cells: [cellCount]uint64{1}}); again.Count() != 0 {
		t.Error("a counter that began anew counts what was before")
	}
}
