package main

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// send keeps its rate though each sleep is too long, and ends when it is told to.
func TestSendRate(t *testing.T) {
	for _, rate := range []float64{0.5, 50, 3000, 1_000_000} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			next, start := turns(rate), time.Now()
			n := int(math.Ceil(2 * rate))
			for range n {
				before := time.Now()
				if err := next(ctx); err != nil {
					t.Fatal(err)
				}
				if time.Now() != before {
					time.Sleep(time.Millisecond)
				}
			}
			want := time.Duration(float64(n) / rate * float64(time.Second))
			least := want*98/100 - time.Duration(float64(time.Second)/rate) // the first does not wait
			if took := time.Since(start); took > want+10*time.Millisecond || took < least {
				t.Errorf("%d at %v a second take %v, want %v", n, rate, took, want)
			}
			for range n + 2 { // beyond what comes at once
				cancel()
				if err := next(ctx); errors.Is(err, context.Canceled) {
					return
				}
			}
			t.Error("it goes on when it is to end")
		})
	}
}
