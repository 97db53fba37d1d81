package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// inTime runs a test in which APNs does not answer within limit while this machine always should:
// with a short limit, and once more with a long one if the machine was too slow for the short one.
func inTime(t *testing.T, short, long time.Duration, test func(limit time.Duration) (slow error)) {
	t.Helper()
	slow := test(short)
	if slow == nil {
		return
	}
	t.Logf("within %v: %v", short, slow)
	if slow = test(long); slow != nil {
		t.Errorf("within %v: %v", long, slow)
	}
}

// A connection falls silent. A PING finds that out long before the requests time out, and
// they are repeated.
func TestASilentConnectionIsLeft(t *testing.T) {
	t.Parallel()
	inTime(t, time.Second, 10*time.Second, func(limit time.Duration) error {
		sim := startSim(t, apnssim.Scenario{BlackHole: &apnssim.BlackHole{After: 300, Times: 1, Accept: true}})
		b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{
			Connections: 2, Streams: 100, PingAfter: 200 * time.Millisecond, PingTimeout: limit,
			RequestTimeout: time.Hour,
		}})
		s, p := open(t, b, Origin{})
		const count = 1000
		pushMany(t, s, p, 0, count)
		s.Shutdown(false)
		delivered(t, b)
		if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
			t.Errorf("told %v, closed %d; want one close", fails, closes)
		}
		st, pool := b.Stats().Apps["mail"], b.Stats().Apps["mail"].Pool
		if pool.Lost > 1 {
			return fmt.Errorf("%d connections are lost, want 1", pool.Lost)
		}
		if st.Accepted != count || st.Dropped != 0 || st.Ambiguous == 0 || st.Ambiguous > 100 {
			t.Errorf("%+v", st)
		}
		// APNs accepted those on the silent connection too, which the bridge cannot
		// know: each is repeated once.
		if pool.Lost != 1 || pool.TimedOut != 0 || pool.Unanswered != st.Ambiguous || sim.Stats().Duplicates != int(st.Ambiguous) {
			t.Errorf("%+v and %d doubled, want 1 lost with %d unanswered and doubled", pool, sim.Stats().Duplicates, st.Ambiguous)
		}
		return nil
	})
}

// No connection can be opened for a while.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 100)
	until(t, "the first are accepted", func() bool { return b.Stats().Apps["mail"].Accepted == 100 })
	if err := sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}); err != nil {
		t.Fatal(err)
	}
	pushMany(t, s, p, 100, 100)
	until(t, "several failures", func() bool { return b.Stats().Apps["mail"].Pool.DialFailures >= 3 })
	if got := b.Problems()["mail"]; !strings.Contains(got, "cannot be reached") || strings.Contains(got, "->") {
		t.Errorf("the problem is %q", got)
	}
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown(false)
	delivered(t, b)
	p.wait(t)
	if st := sim.Stats(); st.Accepted != 200 || st.Duplicates != 0 {
		t.Errorf("%d accepted, %d doubled, want 200 and 0", st.Accepted, st.Duplicates)
	}
	if got := b.Problems(); len(got) != 0 {
		t.Errorf("problems %v stay", got)
	}
}
