package bridge

import (
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/lane"
)

// movableClock is the bridge's clock, which the test can put forward, and stop: then it goes
// on with the test, and not with the machine, which may be busy.
type movableClock struct {
	ahead   atomic.Int64
	stopped atomic.Pointer[time.Time]
}

func (c *movableClock) now() time.Time {
	at := c.stopped.Load()
	if at == nil {
		return time.Now().Add(time.Duration(c.ahead.Load()))
	}
	const reading = 100 * time.Nanosecond // goes by with each: a lane may wait for the next nanosecond
	return at.Add(time.Duration(c.ahead.Add(int64(reading))))
}

func (c *movableClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// stopped is a clock that the test alone puts forward.
func stopped() *movableClock {
	c, now := new(movableClock), time.Now()
	c.stopped.Store(&now)
	return c
}

// late waits until cond and gives how long that takes by the clock, which goes on while
// nothing is on its way to APNs or to disk: else it is this machine that takes long.
func (c *movableClock) late(t *testing.T, b *Bridge, what string, cond func() bool) time.Duration {
	t.Helper()
	before := c.ahead.Load()
	until(t, what, func() bool {
		if st := gateOf(b, "mail"); st.Pool.InFlight+st.Pool.Queued+st.Unwritten == 0 {
			c.forward(50 * time.Millisecond)
		}
		return cond()
	})
	return time.Duration(c.ahead.Load() - before)
}

// An app that speaks to the wrong environment has every token refused. It is
// put on hold before its provider has deleted them all, and goes on when APNs
// accepts.
func TestMisconfiguredApp(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.BadDeviceToken}}})
	feedback, clock := new(list), stopped()
	app := mailApp(t, sim)
	app.OnBadToken = Continue
	b := startBridge(t, Config{Apps: []App{app}, Feedback: feedback, Now: clock.now})
	s, p := open(t, b, Origin{})
	const count, told = 60, lane.GuardTokens - 1
	pushMany(t, s, p, 0, count)
	until(t, "the rest is held", func() bool { return gateOf(b, "mail").AtDoor == count-told })
	until(t, "what went to feedback is withdrawn", func() bool {
		return len(feedback.tokens()) == 0 && b.Stats().FeedbackWait == 0 && b.Stats().Unsettled == count-told
	})
	if b.Problems()["mail"] == "" {
		t.Error("the operator is told nothing")
	}

	asked := sim.Stats().Received
	clock.forward(heldPeriod + time.Second)
	if err := sim.Wait(within(t), func(st apnssim.Stats) bool { return st.Received == asked+1 }); err != nil {
		t.Fatal(err)
	}
	until(t, "the probe is held again", func() bool { return gateOf(b, "mail").AtDoor == count-told })
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	clock.forward(heldPeriod + time.Second)
	if err := sim.Wait(within(t), func(st apnssim.Stats) bool { return st.Accepted == count-told }); err != nil {
		t.Fatal(err)
	}
	shutdown(t, b)
	if got := sim.Stats(); got.Received != asked+1+count-told {
		t.Errorf("APNs was asked %d times, want %d", got.Received, asked+1+count-told)
	}
	if problem := b.Problems()["mail"]; problem != "" || len(feedback.tokens()) != 0 {
		t.Errorf("in the end there is the problem %q, and feedback has %v", problem, feedback.tokens())
	}
}

// A provider that goes on sending to a bad token is answered without asking APNs, until
// the app gets a new configuration.
func TestBadTokenIsRemembered(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	app := mailApp(t, sim)
	b := startBridge(t, Config{Apps: []App{app}})
	tell := func() {
		t.Helper()
		s, p := open(t, b, Origin{})
		p.push(t, s, note(deviceToken(badDevice, 1), 5, hello))
		if fails, _ := p.wait(t); len(fails) != 1 || fails[0] != (binproto.Response{Status: binproto.InvalidToken,
			Identifier: 5}) {
			t.Fatalf("told %v", fails)
		}
		s.Close(nil)
	}
	for _, asked := range []int{1, 1} {
		tell()
		if got := sim.Stats().Received; got != asked {
			t.Fatalf("APNs was asked %d times, want %d", got, asked)
		}
	}
	if got := b.Stats().Apps["mail"]; got.BadTokensCached != 1 || got.BadTokensListed != 1 {
		t.Errorf("got %+v, want one token listed, which has answered once", got)
	}
	if err := b.Reload([]App{app}); err != nil {
		t.Fatal(err)
	}
	tell()
	if got := sim.Stats().Received; got != 2 {
		t.Errorf("APNs was asked %d times, want once more", got)
	}
}
