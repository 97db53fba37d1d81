package history

import (
	"testing"
	"time"
	"unsafe"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// Whatever happens within a step is counted in it, no matter when within it the figures were
// taken; what happened before the first figures is not counted.
func TestHour(t *testing.T) {
	h := New()
	totals := &Totals{Apps: map[string]*AppTotals{}}
	totals.Outcomes[Accepted] = 1_000_000
	h.Add(noon, totals)
	for range 30 {
		totals.Verdict.Observe(100 * time.Millisecond)
	}
	totals.Outcomes[Accepted] += 30
	h.Add(noon.Add(2*time.Second), totals)
	totals.Outcomes[Accepted] += 12
	totals.Outcomes[Gone]++
	totals.Waiting, totals.Oldest = 7, time.Minute
	h.Add(noon.Add(9*time.Second), totals)
	totals.Outcomes[Accepted] += 5
	h.Add(noon.Add(31*time.Second), totals) // skips two steps
	now := noon.Add(35 * time.Second)
	hour := h.Hour(now)
	got := hour[len(hour)-4:]
	if got[0].Outcomes != [Outcomes]uint32{Accepted: 42, Gone: 1} || got[0].Waiting != 7 || got[0].Oldest != time.Minute {
		t.Errorf("got %+v", got[0])
	}
	if p := got[0].P99; p < 100*time.Millisecond || p > 120*time.Millisecond {
		t.Errorf("p99: got %v", p)
	}
	if got[1] != (Point{}) || got[2] != (Point{}) || got[3].Outcomes[Accepted] != 5 || got[3].P99 != 0 {
		t.Errorf("got %+v", got[1:])
	}
	if day := h.Day(now); day[len(day)-1].Outcomes[Accepted] != 47 {
		t.Errorf("the day: got %+v", day[len(day)-1])
	}
	later := h.Hour(now.Add(10 * time.Minute))
	if later[len(later)-1] != (Point{}) || later[len(later)-64].Outcomes[Accepted] != 42 {
		t.Errorf("ten minutes later: got %+v and %+v", later[len(later)-1], later[len(later)-64])
	}
	h.Add(now.Add(3*time.Hour), totals)
	for i, p := range h.Hour(now.Add(3 * time.Hour))[:points-1] {
		if p != (Point{}) {
			t.Fatalf("after three hours: point %d is %+v", i, p)
		}
	}
}

func TestApps(t *testing.T) {
	h := New()
	add := func(at time.Time, accepted, failed uint64) {
		h.Add(at, &Totals{Apps: map[string]*AppTotals{"mail": {accepted, failed}}})
	}
	add(noon, 5, 0)
	add(noon.Add(30*time.Second), 25, 1)
	add(noon.Add(90*time.Second), 26, 1)
	now := noon.Add(100 * time.Second)
	got := h.App("mail", now)
	if got[appPoints-2] != (AppPoint{20, 1}) || got[appPoints-1] != (AppPoint{1, 0}) {
		t.Errorf("got %v", got[appPoints-3:])
	}
	if h.App("chat", now) != nil {
		t.Error("an app without a history has one")
	}
	h.Add(now, &Totals{})
	if h.App("mail", now) != nil {
		t.Error("an app that has gone has a history")
	}
}

// The whole history is of bounded size: a megabyte for 500 apps.
func TestSize(t *testing.T) {
	gateway := 2*points*unsafe.Sizeof(Point{}) + 2*unsafe.Sizeof(gatewayRing{})
	app := appPoints*unsafe.Sizeof(AppPoint{}) + unsafe.Sizeof(appRing{}) + unsafe.Sizeof(ring[AppPoint]{})
	if all := gateway + 500*app; all > 1<<20 {
		t.Errorf("%d bytes for the gateway, %d for an app: %d for 500 apps, want 1 MiB at most", gateway, app, all)
	}
}

func TestTimeGoesBack(t *testing.T) {
	h := New()
	totals := &Totals{}
	h.Add(noon, totals)
	totals.Outcomes[Accepted] = 3
	h.Add(noon.Add(-time.Hour), totals) // the wall clock was set back
	if hour := h.Hour(noon); hour[points-1].Outcomes[Accepted] != 3 {
		t.Errorf("got %+v", hour[points-1])
	}
}
