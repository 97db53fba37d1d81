package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// APNs allows one stream at first, more after an accepted push, and one again
// after each that it refuses.
func TestPoolFollowsTheStreamLimit(t *testing.T) {
	tests := []struct{ limit, pushes int }{{1000, 300}, {100, 1000}, {1, 100}}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("limit %d", tt.limit), func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{
				MaxConcurrentStreams: tt.limit,
				Throttle:             &apnssim.Throttle{},
				Latency:              apnssim.Latency{Fixed: 20},
				Reasons:              []apnssim.Rule{{Probability: 0.1, Reason: apnssim.BadDeviceToken, Latency: &apnssim.Latency{Fixed: 20}}},
			})
			const connections = 4
			g := newPoolRig(t, sim, Limits{Connections: connections})
			g.push(goodDevice, tt.pushes, hello)
			got := g.counted()
			if refused := got[badToken]; got[accepted]+refused != tt.pushes || refused == 0 || got[ambiguous] != 0 {
				t.Errorf("verdicts %v, want %d accepted and bad tokens, some of these", got, tt.pushes)
			}
			st := sim.Stats()
			if st.OverLimit != 0 || st.Duplicates != 0 || st.Violations != 0 || st.PeakConnections > connections || st.PeakStreams > tt.limit {
				t.Errorf("%+v", st)
			}
			if got[unsent] != st.Refused {
				t.Errorf("%d to be repeated, and %d refused by a limit that fell", got[unsent], st.Refused)
			}
		})
	}
}

// Connections end in order in the middle of many pushes, ten times.
func TestPoolGoAway(t *testing.T) {
	count, seldom := 10_000, 500
	if *long {
		count, seldom = 100_000, 7_000
	}
	for _, mode := range []string{apnssim.Graceful, apnssim.Double, apnssim.Abrupt} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const times = 10
			sim := startSim(t, apnssim.Scenario{
				Latency: apnssim.Latency{Jitter: 4},
				GoAway:  &apnssim.GoAway{After: seldom, Mode: mode, Pause: 2, Times: times, Cause: apnssim.Shutdown},
			})
			g := newPoolRig(t, sim, Limits{Connections: 2, Streams: 300})
			g.push(goodDevice, count, hello)
			got, st := g.counted(), sim.Stats()
			if st.Accepted != count || got[accepted] != count || st.Duplicates != 0 || st.Violations != 0 {
				t.Errorf("%d accepted, %d of them told, %d doubled, %d violations; want %d and no others",
					st.Accepted, got[accepted], st.Duplicates, st.Violations, count)
			}
			pool := g.stats()
			if pool.GoAways != times || pool.Lost != 0 || got[ambiguous] != 0 || pool.Unsent != uint64(got[unsent]) {
				t.Errorf("%+v, verdicts %v; want %d GOAWAY and nothing in doubt", pool, got, times)
			}
			// The first of two frames is a warning, after which we open no stream.
			if pool.Unsent == 0 && mode != apnssim.Double {
				t.Error("nothing was above a last stream")
			}
			if logged := strings.Count(g.said.String(), `"reason":"Shutdown"`); logged != times {
				t.Errorf("the reason was logged %d times, want once for each connection", logged)
			}
		})
	}
}

// A connection falls silent. PING finds it long before the requests' time is
// over; they are asked once more.
func TestPoolLeavesASilentConnection(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{BlackHole: &apnssim.BlackHole{After: 300, Times: 1, Accept: true}})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{
		Connections: 2, Streams: 100, PingAfter: 200 * time.Millisecond, PingTimeout: 400 * time.Millisecond,
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
	if st.Accepted != count || st.Dropped != 0 || st.Ambiguous == 0 || st.Ambiguous > 100 {
		t.Errorf("%+v", st)
	}
	// Those on the silent connection were accepted there too, which nobody can
	// know: each is asked again once.
	if pool.Lost != 1 || pool.TimedOut != 0 || pool.Unanswered != st.Ambiguous || sim.Stats().Duplicates != int(st.Ambiguous) {
		t.Errorf("%+v and %d doubled, want 1 lost with %d unanswered and doubled", pool, sim.Stats().Duplicates, st.Ambiguous)
	}
}

// No connection can be opened for a while.
func TestPoolOutage(t *testing.T) {
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

// Bytes in flight bound a connection, not its streams: so more are opened.
func TestPoolGrowsByBytes(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Windows: apnssim.Windows{Stream: 2500, Return: 20}})
	const count, connections = 800, 3
	g := newPoolRig(t, sim, Limits{Connections: connections})
	payload := `{"aps":{"alert":"` + strings.Repeat("x", 4000) + `"}}`
	g.push(goodDevice, count, payload)
	st := sim.Stats()
	if st.Accepted != count || st.Duplicates != 0 || st.Violations != 0 {
		t.Errorf("%+v", st)
	}
	if st.PeakConnections != connections {
		t.Errorf("%d connections at once, want %d", st.PeakConnections, connections)
	}
	// A body beyond the window waits on the wire; the others with us.
	if most := 65_535/len(payload) + 1; st.PeakStreams > 2*most {
		t.Errorf("%d streams at once, of which the window holds %d", st.PeakStreams, most)
	}
	for _, push := range sim.Received(0).Pushes {
		if string(push.Payload) != payload {
			t.Fatalf("a payload of %d bytes came as %d others", len(payload), len(push.Payload))
		}
	}
}

// A connection is replaced for its age while it works: nobody notices.
func TestPoolRotates(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Jitter: 10}})
	g := newPoolRig(t, sim, Limits{Streams: 10, ConnectionAge: 100 * time.Millisecond})
	g.push(goodDevice, 1000, hello)
	until(t, "idle connections are replaced too", func() bool {
		before := g.stats().Rotations
		return before >= 3 && g.stats().Dials > 3
	})
	got, st, pool := g.counted(), sim.Stats(), g.stats()
	if st.Accepted != 1000 || len(got) != 1 || pool.GoAways+pool.Lost != 0 || strings.Contains(g.said.String(), "lost") {
		t.Errorf("%+v, verdicts %v, %+v", st, got, pool)
	}
}

// What no request can be made of is our fault, and stays with us.
func TestPoolHoldsWhatItCannotAsk(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	g := newPoolRig(t, sim, Limits{})
	g.mu.Lock()
	g.left = 3
	g.mu.Unlock()
	bad := g.record(deviceToken(goodDevice, 1), hello)
	bad.request.topic = "com.example\r\n"
	long := g.record(deviceToken(goodDevice, 2), hello)
	long.request.topic = strings.Repeat("x", 1<<20)
	for _, r := range []*record{bad, g.record(deviceToken(goodDevice, 3), hello), long} {
		g.Send(r)
	}
	select {
	case <-g.done:
	case <-within(t).Done():
		t.Fatal("no verdicts")
	}
	if got := g.counted(); got[held] != 2 || got[accepted] != 1 {
		t.Errorf("verdicts %v, want 2 held and 1 accepted", got)
	}
}
