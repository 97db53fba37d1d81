package bridge

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func heldRecord(number int, sent time.Time) *record {
	token := deviceToken(badDevice, number)
	r := new(record)
	r.copy(token, nil)
	r.Sent = sent
	return r
}

// beginHold has so many different tokens refused that a hold begins, with the
// last of them.
func beginHold(t *testing.T, h *hold, now time.Time) (last *record) {
	t.Helper()
	for i := range guardTokens {
		last = heldRecord(i, now)
		if v := h.refused(last, now, true); v.hold != (i == guardTokens-1) {
			t.Fatalf("refusal %d: %+v", i+1, v)
		}
	}
	return last
}

func TestHoldKeepsAndReleasesInOrder(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	if h.keeps(heldRecord(0, now)) {
		t.Fatal("kept though the app is well")
	}
	want := []*record{beginHold(t, h, now)}
	for i := range 5 {
		r := heldRecord(100+i, now)
		if !h.keeps(r) {
			t.Fatal("not kept on hold")
		}
		want = append(want, r)
	}
	if n := h.len(); n != len(want) {
		t.Errorf("%d are held, want %d", n, len(want))
	}
	if probe, _ := h.take(now.Add(probeEvery - 1)); probe != nil {
		t.Error("a probe before its time")
	}
	now = now.Add(probeEvery)
	probe, _ := h.take(now)
	if probe == nil {
		t.Fatal("no probe after 30 s")
	}
	if again, _ := h.take(now); again != nil {
		t.Error("a second probe at once")
	}
	if h.keeps(probe) {
		t.Error("the probe is kept")
	}
	if v := h.refused(probe, now, true); !v.hold || v.alarm || v.withdraw != nil {
		t.Errorf("a refused probe: got %+v, want hold alone", v)
	}
	want = append(slices.DeleteFunc(want, func(r *record) bool { return r == probe }), probe)
	got, save := h.accepted(now)
	if !slices.Equal(got, want) {
		t.Errorf("%d are released, not the %d held in their order", len(got), len(want))
	}
	if save == nil {
		t.Error("the first acceptance is not saved")
	}
	if h.keeps(want[0]) || h.len() != 0 {
		t.Error("kept after the release")
	}
}

// A verdict on the former credential ends no hold, and what was refused before
// the hold goes to no list, neither on hold nor later.
func TestHoldThroughAnotherCredential(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	last := beginHold(t, h, now)
	h.credentialChanged(now.Add(time.Second))
	if released, _ := h.accepted(now); released != nil {
		t.Error("released by an acceptance under the former credential")
	}
	if probe, _ := h.take(now.Add(time.Second)); probe != last {
		t.Error("no probe at once under another credential")
	}
	if h.recordable(last.Token(), now.Add(time.Minute)) {
		t.Error("recordable on hold")
	}
	h.accepted(now.Add(2 * time.Second))
	if h.on.Load() {
		t.Error("still on hold")
	}
	if h.recordable(last.Token(), now) || !h.recordable(last.Token(), now.Add(time.Minute)) {
		t.Error("after the hold: what was refused before it is recordable, or what is refused now is not")
	}
}

// A probe whose attempt came to nothing waits with the others again.
func TestHoldLetsAProbeGoOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	last := beginHold(t, h, now)
	probe, _ := h.take(now.Add(probeEvery))
	if probe != last || h.keeps(probe) {
		t.Fatal("the one that is held is not the probe")
	}
	if !h.keeps(probe) || h.len() != 1 {
		t.Error("a second attempt is not kept")
	}
}

// A probe that never got as far as an attempt is none in a later hold: its
// record may be another notification by then.
func TestHoldForgetsItsProbe(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	beginHold(t, h, now)
	probe, _ := h.take(now.Add(probeEvery))
	h.accepted(now)
	forgetApp(h)
	beginHold(t, h, now)
	if !h.keeps(probe) {
		t.Error("the probe of an earlier hold goes through")
	}
}

// A hold may end between keeps' look at it and the lock.
func TestHoldThatHasJustEnded(t *testing.T) {
	h := new(hold)
	h.on.Store(true)
	if h.keeps(new(record)) || h.len() != 0 {
		t.Error("kept with nobody to release it")
	}
}

func TestHoldGivesOutTheExpired(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	beginHold(t, h, now)
	r := heldRecord(100, now)
	r.expires = now.Unix() + 10
	h.keeps(r)
	if _, expired := h.take(now.Add(probeEvery)); len(expired) != 1 || expired[0] != r {
		t.Errorf("%d have expired, want 1", len(expired))
	}
}

func TestHoldAfterRestart(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	before := new(hold)
	_, record := before.accepted(now)
	after := new(hold)
	if err := after.restore(record, now); err != nil {
		t.Fatal(err)
	}
	for i := range guardTokens {
		if v := after.refused(heldRecord(i, now), now, true); v.hold {
			t.Fatalf("on hold at refusal %d, on the day of an acceptance", i+1)
		}
	}
}

// forgetApp makes h know nothing of its app, unless it is on hold.
func forgetApp(h *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.guard.holding {
		h.guard = guard{}
		h.publish()
	}
}

// Whatever the order in which goroutines meet, each record is sent once more or
// is still held, and none is both.
func TestHoldLosesNothing(t *testing.T) {
	const workers, records = 8, 300
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	var mu sync.Mutex
	sent := make(map[*record]int)
	holds := 0
	send := func(list ...*record) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range list {
			sent[r]++
		}
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range records {
				r := heldRecord(w*records+i, now)
				switch {
				case h.keeps(r):
				case i%100 == 99:
					send(r)
					released, _ := h.accepted(now)
					send(released...)
					forgetApp(h) // so that there is another hold
				default:
					v := h.refused(r, now, true)
					if !v.hold {
						send(r)
					} else if v.alarm {
						mu.Lock()
						holds++
						mu.Unlock()
					}
				}
				if probe, expired := h.take(now.Add(time.Hour)); probe != nil {
					send(append(expired, probe)...)
				}
			}
		})
	}
	wg.Wait()
	send(h.held.releaseAll()...)
	if holds == 0 {
		t.Error("there was no hold")
	}
	if len(sent) != workers*records {
		t.Errorf("%d were sent or held, want %d", len(sent), workers*records)
	}
	for _, n := range sent {
		if n != 1 {
			t.Fatalf("one was sent or held %d times", n)
		}
	}
}

func TestHoldAllocatesNothingWhileAllIsWell(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := new(hold)
	h.accepted(now)
	r := heldRecord(1, now)
	n := testing.AllocsPerRun(100, func() {
		h.keeps(r)
		h.accepted(now.Add(time.Second))
		h.take(now)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if now.UnixNano() >= h.quiet.Load() {
		t.Error("an acceptance takes the lock though it changes nothing")
	}
}
