package bridge

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/bridge/apnssim"
)

// In no stretch of time does it happen more often than the rate allows with one
// burst, and whoever stays below the rate is never held up.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{rapid.IntRange(1, 20).Draw(t, "count"), time.Second}
		p := newPace(rate)
		now := time.Unix(1_800_000_000, 0)
		var taken []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			if !p.room(now) {
				if recent(taken, now, time.Second) == 0 {
					t.Fatal("held up though nothing has happened for a second")
				}
				continue
			}
			p.take(now)
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

// A client over its rate is not read on until its time has come, over all its
// connections; another one is.
func TestClientRate(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now, Limits: Limits{ClientRate: Rate{100, time.Hour}}})
	session, p := open(t, b, Origin{Client: "busy"})
	second, _ := open(t, b, Origin{Client: "busy"})
	other, _ := open(t, b, Origin{Client: "other"})
	push := func(s *Session, number int) bool {
		return s.Push(note(deviceToken(goodDevice, number), uint32(number), hello))
	}
	for i := range 99 {
		if !push(session, i) {
			t.Fatalf("no room behind number %d", i)
		}
	}
	if push(session, 99) || push(second, 100) {
		t.Error("room over the rate")
	}
	if !push(other, 101) {
		t.Error("no room for another client")
	}
	if got := b.Stats().Apps["mail"].OverRate; got != 2 {
		t.Errorf("%d were over the rate, want 2", got)
	}
	clock.forward(30 * time.Minute)
	select {
	case <-p.room:
	case <-within(t).Done():
		t.Fatal("no room came")
	}
}
