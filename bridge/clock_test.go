package bridge

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/clock/clocktest"
	"apnsbridge/store/boltstore"
)

// steppingClock is the machine's clock. The test can step its wall time, and put forward
// both wall and monotonic time.
type steppingClock struct{ step, ahead atomic.Int64 }

func (c *steppingClock) now() time.Time {
	return clocktest.Stepped(time.Now().Add(time.Duration(c.ahead.Load())), time.Duration(c.step.Load()))
}

func (c *steppingClock) set(step time.Duration) { c.step.Store(int64(step)) }

func (c *steppingClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// The wall clock is set forward or back while APNs is away. When APNs is back, what waits
// goes out, and so does what comes then; nothing that had an hour to live has expired.
func TestWallStepsInAnOutage(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, step := range []time.Duration{-24 * time.Hour, -time.Hour, -5 * time.Minute, time.Hour, 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, %v", mode.name, step), func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
				clock := new(steppingClock)
				s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Now, c.Limits.RetryDelayMax = clock.now, 200*time.Millisecond
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count = 200
				hour := uint32(clock.now().Add(time.Hour / 2).Unix())
				push := func(from int) {
					for i := range count {
						n := note(deviceToken(goodDevice, from+i), uint32(from+i), hello)
						n.Expiry, n.HasExpiry = hour, true
						p.push(t, session, n)
					}
				}
				push(0)
				until(t, "the door is closed", isOpen(b, "mail"))
				clock.set(step)
				until(t, "probes go on", func() bool { return gateOf(b, "mail").Probes > 3 })
				setScenario(t, sim, apnssim.Scenario{})
				until(t, "all are accepted", func() bool { return sim.Stats().Accepted == count })
				if step < 0 { // their provider's clock is right, and ours as well
					push(count)
					until(t, "those that came then too", func() bool { return sim.Stats().Accepted == 2*count })
				}
				if got := b.Stats().Apps["mail"]; got.Expired != 0 || got.Dropped != 0 {
					t.Errorf("%d have expired, %d were given up", got.Expired, got.Dropped)
				}
				session.Shutdown(false)
				p.wait(t)
			})
		}
	}
}

// A step that lasts is believed: what has expired by the right time is not sent.
func TestWallStepIsBelieved(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	clock := new(steppingClock)
	s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Now = clock.now
	b := startBridge(t, c)
	session, p := open(t, b, Origin{})
	for i := range 20 {
		n := note(deviceToken(goodDevice, i), uint32(i), hello)
		n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+3600), true
		p.push(t, session, n)
	}
	until(t, "the door is closed", isOpen(b, "mail"))
	clock.set(2 * time.Hour)
	until(t, "the step is seen", func() bool { return b.clock.Doubts() })
	clock.forward(11 * time.Minute) // more than clock.Believed
	until(t, "it is believed, and what was asked before has come back", func() bool {
		return b.Stats().Apps["mail"].Expired > 0 && gateOf(b, "mail").Pool.InFlight == 0
	})
	setScenario(t, sim, apnssim.Scenario{})
	until(t, "all have expired", func() bool {
		return b.Stats().Apps["mail"].Expired == 20 && b.Stats().Unsettled == 0
	})
}

// A token stays on the list of bad ones for its time, however the wall clock is set meanwhile.
func TestWallStepsBesideBadTokens(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			clock := new(steppingClock)
			app := mailApp(t, sim)
			app.OnBadToken = Continue
			b := startBridge(t, Config{Apps: []App{app}, Now: clock.now})
			session, p := open(t, b, Origin{})
			asked := func(want int) {
				t.Helper()
				p.push(t, session, note(deviceToken(badDevice, 1), 1, hello))
				until(t, "it is settled", func() bool { return b.Stats().Unsettled == 0 })
				if got := sim.Stats().Received; got != want {
					t.Fatalf("APNs was asked %d times, want %d", got, want)
				}
			}
			asked(1)
			clock.set(step)
			asked(1)
			clock.forward(b.limits.BadTokenTTL - time.Minute)
			asked(1)
			clock.forward(2 * time.Minute)
			asked(2)
		})
	}
}

// The time of an attempt has a monotonic reading, so that comparisons with it go by that.
func TestSentIsMonotonic(t *testing.T) {
	now := time.Now()
	sent := dated(now)
	if d := clocktest.Stepped(now, time.Hour).Sub(sent); d < 0 || d >= time.Millisecond || sent.Nanosecond()%1e6 != 0 {
		t.Errorf("%v after it, %d ns", d, sent.Nanosecond())
	}
}
