package upstream

import (
	"sync/atomic"
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

// Many different ones come between the others, each for the first time. The first costs its
// connection, and so do others; but where the next connection would have to be waited for, because
// connections have ended soon, the present one goes on serving. One that looks at nothing any more
// is left all the same.
func TestManyNeverLookedAtHoldUpNothing(t *testing.T) {
	t.Parallel()
	for _, reason := range []apnssim.Reason{apnssim.Shutdown, apnssim.UnrelatedKeyIDInToken} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			rules := []apnssim.Rule{{Prefix: "cc", Reason: reason}}
			sim := startSim(t, apnssim.Scenario{Reasons: rules})
			start := time.Now()
			var passed atomic.Int64 // of the clock, at which dialPolicy looks
			g := openRig(t, Config{Endpoint: endpoint(sim), Credential: tokenCredential(t),
				Limits: Limits{DialInterval: time.Second},
				Now:    func() time.Time { return start.Add(time.Duration(passed.Load())) }})
			g.once = true
			g.push(goodDevice, 1, hello)
			g.push([]byte{0xcc}, 1, hello)
			passed.Add(int64(time.Second)) // as long as after a connection that is of use
			g.rouse()
			const count = fewAnswers - 1 // with more, connections are of use again
			for i := range count {
				g.push([]byte{0xaa, byte(i)}, 1, hello)
				g.push([]byte{0xcc, byte(i)}, 3, hello)
			}
			if got := g.counted(); got[Accepted] != 1+count || got[Unprocessed] != 1+3*count {
				t.Errorf("verdicts %v, want %d accepted between %d that are not looked at", got, 1+count, 1+3*count)
			}
			if got := sim.Stats().Connections; got != 2 {
				t.Errorf("%d connections, want 2: the clock stands", got)
			}
			rules[0].Prefix = ""
			if err := sim.SetScenario(apnssim.Scenario{Reasons: rules}); err != nil {
				t.Fatal(err)
			}
			g.push(goodDevice, maxUnlooked-3, hello) // behind the three of the last round
			if serves := g.Stats().Connections; serves != 0 {
				t.Errorf("%d connections still serve, none of which looks at anything", serves)
			}
		})
	}
}
