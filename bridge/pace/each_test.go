package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// eachModel remembers every turn it gave.
type eachModel struct {
	rate  Rate
	turns map[int][]time.Time
}

// take looks for the first moment at which no stretch of time that ends then has
// more turns in it than the rate gives.
func (m *eachModel) take(k int, now time.Time, patience time.Duration) (time.Duration, bool) {
	at, every := now, m.rate.Per/time.Duration(m.rate.Count)
	for i, turn := range m.turns[k] {
		within := len(m.turns[k]) - i + 1 // turns from this one to the new one
		if first := turn.Add(time.Duration(within-m.rate.Count) * every); first.After(at) {
			at = first
		}
	}
	wait := at.Sub(now)
	if wait > patience {
		return wait, false
	}
	m.turns[k] = append(m.turns[k], at)
	return wait, true
}

// TestEach: where there is memory for all, it does what a model does that
// forgets nothing.
func TestEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{rapid.IntRange(1, 7).Draw(t, "count"),
			time.Duration(rapid.IntRange(1, 2000).Draw(t, "per")) * time.Millisecond}
		const most = 16
		p, model := NewEach[int](rate, most), eachModel{rate, make(map[int][]time.Time)}
		now := time.Unix(0, 0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond)
			k := rapid.IntRange(1, most/2).Draw(t, "who")
			patience := time.Duration(rapid.IntRange(0, 3000).Draw(t, "patience")) * time.Millisecond
			wait, ok := p.Take(k, now, patience)
			if wantWait, wantOK := model.take(k, now, patience); wait != wantWait || ok != wantOK {
				t.Fatalf("%d waits for %v: %v, want %v: %v", k, wait, ok, wantWait, wantOK)
			}
		}
	})
}

// TestEachForgets: where there is not, none has to wait that had no turn lately,
// and the one that came last is not forgotten.
func TestEachForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{1, time.Hour}
		most := rapid.IntRange(2, 9).Draw(t, "most")
		p, last := NewEach[int](rate, most), make(map[int]time.Time)
		now := time.Unix(0, 0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			k := rapid.IntRange(1, 20).Draw(t, "who")
			turn, had := last[k]
			if _, ok := p.Take(k, now, 0); ok {
				last[k] = now
			} else if !had || now.Sub(turn) >= rate.Per {
				t.Fatalf("%d has to wait, its last turn was %v ago", k, now.Sub(turn))
			}
			if _, again := p.Take(k, now, 0); again {
				t.Fatalf("%d is forgotten at once", k)
			}
			if p.Remembered() > most {
				t.Fatalf("%d are remembered, %d may be", p.Remembered(), most)
			}
		}
	})
}
