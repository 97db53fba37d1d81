package histogram

import (
	"math"
	"time"
)

// Add counts what o has counted.
func (h *Histogram) Add(o *Histogram) {
	h.sum += o.sum
	for i, n := range o.cells {
		h.cells[i] += n
	}
}

// Since returns what h has counted more than before, an earlier state of it. Where
// before has more, it is of another history: then that is all of h.
func (h *Histogram) Since(before *Histogram) Histogram {
	more := *h
	for i, n := range before.cells {
		if n > h.cells[i] {
			return *h
		}
		more.cells[i] -= n
	}
	more.sum -= before.sum
	return more
}

// Quantile returns a bound that the given part of the durations does not exceed, 0
// to 1, and that is at most 19 % above the least such; 0 if nothing was counted.
func (h *Histogram) Quantile(part float64) time.Duration {
	count := h.Count()
	if count == 0 {
		return 0
	}
	rest := uint64(math.Ceil(part * float64(count)))
	for i, n := range h.cells {
		if n >= rest {
			return time.Duration(bounds[min(i, len(bounds)-1)])
		}
		rest -= n
	}
	return time.Duration(bounds[len(bounds)-1])
}
