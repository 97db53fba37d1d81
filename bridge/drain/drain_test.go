package drain

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name    string
		time    time.Duration // that the shutdown has; 0: no end
		slowest time.Duration // of APNs's answers
		passed  time.Duration
		left    time.Duration
	}{
		{"APNs is quick", 40 * time.Second, 100 * time.Millisecond, 0, 30 * time.Second},
		{"and time passes", 40 * time.Second, 100 * time.Millisecond, 20 * time.Second, 10 * time.Second},
		{"and three quarters are over", 40 * time.Second, 100 * time.Millisecond, 30 * time.Second, 0},
		{"APNs is slow", 40 * time.Second, 8 * time.Second, 0, 24 * time.Second},
		{"APNs is slower than there is time", 40 * time.Second, time.Minute, 0, 10 * time.Second},
		{"after the end", 40 * time.Second, 0, 41 * time.Second, -11 * time.Second},
		{"without an end", 0, time.Minute, time.Hour, math.MaxInt64 - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				if tt.time > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.time)
					defer cancel()
				}
				now := time.Now()
				p := New(ctx, now)
				if got := p.Left(tt.slowest, now.Add(tt.passed)); got != tt.left {
					t.Errorf("APNs is asked for another %v, want %v", got, tt.left)
				}
				if read := p.ReadBy.Sub(now); tt.time > 0 && read != tt.time/2 || tt.time == 0 && read < 100*365*24*time.Hour {
					t.Errorf("providers are read for %v of %v", read, tt.time)
				}
			})
		})
	}
}
