package bridge

import (
	"slices"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/upstream"
)

func newGate() *gate {
	return &gate{breaker: breaker{backoff: &backoff{2 * time.Second, time.Minute, never}}}
}

// shut has so many fail that the breaker opens.
func shut(t *testing.T, g *gate, c upstream.Class, now time.Time) (kept *record) {
	t.Helper()
	for i := range breakerFailures {
		r := heldRecord(i, now)
		r.Attempts = 1
		if got, want := g.failed(r, c, now, true), i == breakerFailures-1; got != want {
			t.Fatalf("failure %d: kept is %v, want %v", i+1, got, want)
		}
		kept = r
	}
	return kept
}

func TestGateReleasesInOrder(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	g := newGate()
	if g.keeps(heldRecord(0, now)) {
		t.Fatal("kept though all is well")
	}
	failed := shut(t, g, upstream.ServerError, now)
	var waiting []*record
	for i := range 6 {
		r := heldRecord(100+i, now)
		if !g.keeps(r) {
			t.Fatal("not kept")
		}
		waiting = append(waiting, r)
	}
	if st := g.stats(); st.Waiting != 7 || st.OpenSince != now.Unix() {
		t.Errorf("%+v, want 7 that wait since %d", st, now.Unix())
	}
	now = now.Add(time.Second)
	probe, _ := g.take(now)
	if probe != waiting[0] || g.keeps(probe) {
		t.Fatal("the first that was not asked about is not the probe, or is kept")
	}
	probe.admitted, probe.Attempts = false, 1
	if !g.failed(probe, upstream.ServerError, now, true) {
		t.Error("the probe is not kept")
	}
	want := append([]*record{failed}, append(slices.Clone(waiting[1:]), probe)...)
	var got []*record
	for range 4 {
		released := g.answered(upstream.Accepted, now, clock)
		for _, r := range released {
			if g.keeps(r) {
				t.Fatal("what was released is kept")
			}
		}
		got = append(got, released...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d were released, not the %d that waited in their order", len(got), len(want))
	}
	if st := g.stats(); st != (GateStats{Probes: 1}) || g.keeps(heldRecord(0, now)) {
		t.Errorf("%+v in the end, want all gone", st)
	}
}

func TestGateGivesOutTheExpired(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newGate()
	shut(t, g, upstream.CredentialRefused, now)
	r := heldRecord(100, now)
	r.expires = now.Unix() + 2
	g.keeps(r)
	now = now.Add(2 * time.Second)
	if probe, expired := g.take(now); probe != nil || !slices.Equal(expired, []*record{r}) {
		t.Errorf("%d have expired, a probe: %v; want 1 and none", len(expired), probe != nil)
	}
}

func TestGateMoved(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newGate()
	failed := shut(t, g, upstream.ServerError, now)
	if got := g.moved(now); !slices.Equal(got, []*record{failed}) || g.keeps(failed) {
		t.Errorf("%d were released, want the one that waited", len(got))
	}
}

// Whatever the order in which goroutines meet, each record is sent on or still
// waits, and none is both.
func TestGateLosesNothing(t *testing.T) {
	const workers, each = 8, 300
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	g := newGate()
	var mu sync.Mutex
	sent := make(map[*record]int)
	kept := 0
	send := func(list ...*record) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range list {
			sent[r]++
		}
	}
	keep := func() {
		mu.Lock()
		defer mu.Unlock()
		kept++
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				r := heldRecord(w*each+i, now)
				switch {
				case g.keeps(r):
					keep()
				case i%10 == 9:
					send(r)
					send(g.answered(upstream.Accepted, now, clock)...)
				case g.failed(r, upstream.ServerError, now, true):
					keep()
				default:
					send(r)
				}
				if probe, _ := g.take(now.Add(time.Hour)); probe != nil {
					send(probe)
					send(g.answered(upstream.Accepted, now, clock)...)
				}
			}
		})
	}
	wg.Wait()
	send(g.held.releaseAll()...)
	if kept == 0 {
		t.Error("none was kept")
	}
	if len(sent) != workers*each {
		t.Errorf("%d were sent or wait, want %d", len(sent), workers*each)
	}
	for _, n := range sent {
		if n != 1 {
			t.Fatalf("one was sent or waits %d times", n)
		}
	}
}

func TestGateAllocatesNothingWhileAllIsWell(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g, r := newGate(), heldRecord(1, now)
	n := testing.AllocsPerRun(100, func() {
		g.keeps(r)
		g.answered(upstream.Accepted, now, nil)
		g.take(now)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
