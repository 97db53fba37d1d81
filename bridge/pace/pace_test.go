package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// In no stretch of time does it happen more often than the rate allows with one
// burst, and whoever stays below the rate is never held up.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{rapid.IntRange(1, 20).Draw(t, "count"), time.Second}
		p := New(rate)
		now := time.Unix(1_800_000_000, 0)
		var taken []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			if !p.Room(1, now) {
				if recent(taken, now, time.Second) == 0 {
					t.Fatal("held up though nothing has happened for a second")
				}
				continue
			}
			p.Take(1, now)
			taken = append(taken, now)
		}
		for i, from := range taken {
			for j := i; j < len(taken); j++ {
				if allowed := float64(rate.Count)*(1+taken[j].Sub(from).Seconds()) + 1; float64(j-i+1) > allowed {
					t.Fatalf("%d times in %v at %d a second", j-i+1, taken[j].Sub(from), rate.Count)
				}
			}
		}
	})
}

// recent is how many are no older than age.
func recent(taken []time.Time, now time.Time, age time.Duration) (n int) {
	for _, at := range taken {
		if now.Sub(at) <= age {
			n++
		}
	}
	return n
}
