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
