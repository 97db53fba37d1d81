package upstream

import (
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// A few pushes that always get an answer about the connection do not hold up the others: until
// there is another connection, the present one serves them.
func TestAnswersThatLeaveTheConnectionHoldUpNothing(t *testing.T) {
	t.Parallel()
	page := "<html>Bad Gateway</html>"
	for name, rule := range map[string]apnssim.Rule{
		"no reason":    {Status: 502, Body: &page},
		"no such code": {Status: 418, Reason: "Teapot"},
		"IdleTimeout":  {Reason: apnssim.IdleTimeout},
		"BadPath":      {Reason: apnssim.BadPath},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule.Prefix = "cc"
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{rule}})
			g := newRig(t, sim, Limits{DialInterval: time.Hour})
			g.once = true
			for range 20 {
				g.push([]byte{0xcc}, 3, hello)
				g.push(goodDevice, 1, hello)
			}
			if got := g.counted(); got[Accepted] != 20 || got[ServerError] != 60 {
				t.Errorf("verdicts %v, want 20 accepted between 60 that fail", got)
			}
			if got := g.told(); len(got) > 0 {
				t.Errorf("reported %v, want nothing", got)
			}
		})
	}
}

// A push that no connection looks at costs the others no connection either, once it is sent again.
// One that takes nothing else is left for it.
func TestWhatIsNeverLookedAtHoldsUpNothing(t *testing.T) {
	t.Parallel()
	for _, reason := range []apnssim.Reason{apnssim.Shutdown, apnssim.UnrelatedKeyIDInToken} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "cc", Reason: reason}}})
			g := newRig(t, sim, Limits{})
			g.once = true
			poison := func() *Push {
				p := note(deviceToken([]byte{0xcc}, 1), hello)
				p.Again = true
				return p
			}
			for i := range 20 {
				g.push(goodDevice, 1, hello)
				g.send(poison())
				if got := sim.Stats().Connections; got != 1 {
					t.Fatalf("%d connections behind %d such pushes, want 1", got, 1+i)
				}
			}
			g.send(poison())
			g.push(goodDevice, 1, hello)
			if got := g.counted(); got[Accepted] != 21 || got[Unprocessed] != 21 {
				t.Errorf("verdicts %v, want 21 accepted between 21 that are not looked at", got)
			}
			if got := sim.Stats().Connections; got != 2 {
				t.Errorf("%d connections behind two such pushes in a row, want 2", got)
			}
		})
	}
}

// The same where such a push is the first of a connection, and the others are answered only when
// the connection was left.
func TestNeverLookedAtBeforeOthers(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{
		Latency: apnssim.Latency{Fixed: 20},
		Reasons: []apnssim.Rule{{Prefix: "cc", Reason: apnssim.Shutdown, Latency: new(apnssim.Latency)}},
	})
	g := newRig(t, sim, Limits{})
	g.once = true
	const count = 12
	for range count {
		poison := note(deviceToken([]byte{0xcc}, 1), hello)
		poison.Again = true
		g.send(poison, note(deviceToken(goodDevice, 1), hello))
	}
	if got := g.counted(); got[Accepted] != count || got[Unprocessed] != count {
		t.Errorf("verdicts %v, want %d accepted between %d that are not looked at", got, count, count)
	}
	if got := sim.Stats().Connections; got > count/2 {
		t.Errorf("%d connections for %d such pushes, want a few", got, count)
	}
}
