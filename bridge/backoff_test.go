package bridge

import (
	"math"
	"testing"
	"time"
)

// never and always are the ends of chance.
func never() float64  { return 0 }
func always() float64 { return math.Nextafter(1, 0) }

func TestBackoff(t *testing.T) {
	tests := []struct {
		name        string
		first, most time.Duration
		failures    int
		least, last time.Duration
	}{
		{"the first", time.Second, 2 * time.Minute, 0, 500 * time.Millisecond, time.Second},
		{"the second", time.Second, 2 * time.Minute, 1, time.Second, 2 * time.Second},
		{"the seventh", time.Second, 2 * time.Minute, 6, 32 * time.Second, 64 * time.Second},
		{"the most", time.Second, 2 * time.Minute, 7, time.Minute, 2 * time.Minute},
		{"for long", time.Second, 2 * time.Minute, 1_000_000, time.Minute, 2 * time.Minute},
		{"as large as can be", math.MaxInt64, math.MaxInt64, 62, math.MaxInt64 / 2, math.MaxInt64},
		{"the first is more than the most", time.Hour, time.Minute, 0, 30 * time.Second, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			least := (&backoff{tt.first, tt.most, never}).after(tt.failures)
			last := (&backoff{tt.first, tt.most, always}).after(tt.failures)
			if least != tt.least || last > tt.last || tt.last-last > tt.last/1_000_000 {
				t.Errorf("between %v and %v, want between %v and %v", least, last, tt.least, tt.last)
			}
		})
	}
	if least, last := (&backoff{random: never}).held(), (&backoff{random: always}).held(); least != 30*time.Second || last > time.Minute || last < 59*time.Second {
		t.Errorf("on hold between %v and %v, want 30 s and 60 s", least, last)
	}
}
