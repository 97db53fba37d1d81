package budget

import (
	"testing"

	"pgregory.net/rapid"
)

// waiter is a session that is never woken.
type waiter struct{ Waiter }

func TestBudget(t *testing.T) {
	const limit = 6400 // shares of 100, 4,800 in common
	b := New(limit)
	busy, other := b.Account(), b.Account()
	busy.Add(4900)
	if busy.Room() {
		t.Error("an app has room beyond the bound")
	}
	if !other.Room() {
		t.Error("one app's bytes took another's share")
	}
	other.Add(100)
	if other.Room() {
		t.Error("an app has room beyond its share when the rest is used up")
	}
	busy.Add(-1)
	if !busy.Room() || busy.Plenty() {
		t.Errorf("just under the bound: room %v, plenty %v; want true, false", busy.Room(), busy.Plenty())
	}
	busy.Add(-1200)
	if !busy.Plenty() {
		t.Error("no plenty at three quarters")
	}
	if got := b.used.Load(); got != 3799 {
		t.Errorf("used is %d, want 3799", got)
	}
}

// What goes beyond the shares is the sum over the apps at every moment.
func TestBudgetAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(640)
		apps := []*Account{b.Account(), b.Account(), b.Account()}
		used := make([]int64, len(apps))
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			i := rapid.IntRange(0, len(apps)-1).Draw(t, "app")
			n := max(-used[i], rapid.Int64Range(-30, 30).Draw(t, "bytes"))
			apps[i].Add(n)
			used[i] += n
			var all, beyond int64
			for _, u := range used {
				all += u
				beyond += max(0, u-b.share)
			}
			if b.used.Load() != all || b.beyond.Load() != beyond {
				t.Fatalf("used %d, beyond %d; want %d, %d", b.used.Load(), b.beyond.Load(), all, beyond)
			}
		}
	})
}

// Bytes that come back while a session is being parked must not be missed.
func TestParkLooksAgain(t *testing.T) {
	b := New(6400)
	a := b.Account()
	a.Add(5000)
	if s := new(waiter); !a.Park(s) || b.waiting.Load() != 1 {
		t.Error("not parked though there are no bytes")
	}
	a.Add(-5000)
	if s := new(waiter); a.Park(s) || b.waiting.Load() != 1 {
		t.Error("parked though there are plenty of bytes")
	}
}
