package main

import (
	"math"
	"testing"
	"time"
)

// send keeps its rate though each sleep is too long, but makes up for no more than a
// hundredth of a second: after a pause there is no burst.
func TestSendRate(t *testing.T) {
	for _, rate := range []float64{0.5, 50, 3000, 1_000_000} {
		start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		now := start
		next := turns(rate, func() time.Time { return now })
		n := int(math.Ceil(2 * rate))
		for range n {
			if wait := next(); wait > 0 {
				now = now.Add(wait + time.Millisecond)
			}
		}
		want := time.Duration(float64(n) / rate * float64(time.Second))
		least := want*98/100 - time.Duration(float64(time.Second)/rate) // the first does not wait
		if took := now.Sub(start); took > want+10*time.Millisecond || took < least {
			t.Errorf("%d at %v a second took %v, want %v", n, rate, took, want)
		}
		now = now.Add(time.Hour)
		burst := 0
		for next() == 0 {
			burst++
		}
		if most := max(1, int(rate/100)); burst > most {
			t.Errorf("%d at once after a pause at %v a second, want at most %d", burst, rate, most)
		}
	}
}
