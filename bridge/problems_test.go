package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// The problem of one topic is reported as long as it lasts, although others are accepted all
// the time, and no longer than something of the topic waits.
func TestProblemOfATopic(t *testing.T) {
	t.Parallel()
	const wrong, other = "com.example.wrong", "com.example.other"
	for name, tt := range map[string]struct {
		rule apnssim.Rule
		says string
		mend func(*Bridge, *apnssim.Simulator, *movableClock) error
	}{
		"refused, and then accepted": {apnssim.Rule{Topic: wrong, Reason: apnssim.TopicDisallowed}, wrong,
			func(b *Bridge, sim *apnssim.Simulator, _ *movableClock) error {
				setScenario(t, sim, apnssim.Scenario{})
				return b.Try("mail")
			}},
		"refused, and all of it expires": {apnssim.Rule{Topic: wrong, Reason: apnssim.TopicDisallowed}, wrong,
			func(_ *Bridge, _ *apnssim.Simulator, clock *movableClock) error {
				clock.forward(31 * 24 * time.Hour)
				return nil
			}},
		"its tokens are bad, as the operator says": {apnssim.Rule{Topic: wrong, Reason: apnssim.BadDeviceToken}, "/believe",
			func(b *Bridge, _ *apnssim.Simulator, _ *movableClock) error { return b.Believe("mail") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{tt.rule}})
			clock := new(movableClock)
			app := mailApp(t, sim)
			app.Topic, app.OnBadToken = "", Continue
			b := startBridge(t, Config{Apps: []App{app}, Now: clock.now})
			bad, pb := open(t, b, Origin{Client: "bad", Topic: wrong})
			good, pg := open(t, b, Origin{Client: "good", Topic: other})
			pushMany(t, bad, pb, 0, 60)
			told := func() bool { return strings.Contains(b.Problems()["mail"], tt.says) }
			until(t, "the door is closed", func() bool { return gateOf(b, "mail").TopicsShut == 1 })
			until(t, "it is told", told)
			for i := range 100 {
				pg.push(t, good, note(deviceToken(goodDevice, i), uint32(i), hello))
			}
			until(t, "the other is served", func() bool { return b.Stats().Apps["mail"].Accepted == 100 })
			if !told() {
				t.Errorf("it is not told any more: %q", b.Problems()["mail"])
			}
			if err := tt.mend(b, sim, clock); err != nil {
				t.Fatal(err)
			}
			until(t, "it is not told any more", func() bool { return b.Problems()["mail"] == "" })
		})
	}
}

// A device that fails on its own account is no problem of its app, however often it is asked
// about while nothing else comes.
func TestDeviceIsNoProblemOfItsApp(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]apnssim.Rule{
		"500":            {Status: 500, Reason: apnssim.InternalServerError},
		"403":            {Status: 403, Reason: "InventedForbidden"},
		"without reason": {Status: 502, Body: new(string)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			clock := new(movableClock)
			b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
			session, p := open(t, b, Origin{})
			accepted := 0
			accept := func() {
				p.push(t, session, note(deviceToken(goodDevice, accepted), 0, fmt.Sprint(accepted)))
				accepted++
				until(t, "a good one is accepted, and that is told", func() bool {
					return b.Stats().Apps["mail"].Accepted == uint64(accepted) && b.Problems()["mail"] == ""
				})
			}
			accept()
			rule.Prefix = "dd"
			setScenario(t, sim, apnssim.Scenario{Reasons: []apnssim.Rule{rule}})
			p.push(t, session, note(deviceToken([]byte{0xdd}, 0), 1, hello))
			asked := func() uint64 { return b.Stats().Apps["mail"].Retried }
			until(t, "it is asked about", func() bool { return asked() >= 1 })
			accept()
			for n := uint64(1); n < 4; n++ {
				until(t, "it is asked about again", func() bool { clock.forward(5 * time.Second); return asked() > n })
				if problem := b.Problems()["mail"]; problem != "" {
					t.Fatalf("the %d. time it is told: %s", n+1, problem)
				}
			}
		})
	}
}

// What waits over a restart has failed before it. That APNs still takes nothing is told all the
// same, until something is taken.
func TestProblemIsToldAfterARestart(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]apnssim.Rule{
		"503": {Status: 503, Reason: apnssim.ServiceUnavailable},
		"403": {Status: 403, Reason: apnssim.InvalidProviderToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{rule}})
			g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: SpoolOverflow}
			app := mailApp(t, sim)
			g.start(app)
			session, p := open(t, g.Bridge, Origin{})
			const devices = 3 // too few to close a door behind which all wait
			pushInOrder(t, session, p, 0, devices, devices)
			session.Close(nil)
			waits := func() bool {
				problem := g.Problems()["mail"]
				return strings.Contains(problem, string(rule.Reason)) && strings.HasSuffix(problem, " 3 notifications wait") &&
					g.Stats().Apps["mail"].Waiting.OnDisk == devices
			}
			until(t, "it is told", waits)
			later := func(cond func() bool) func() bool {
				return func() bool {
					if st := gateOf(g.Bridge, "mail"); st.Pool.InFlight+st.Pool.Queued+st.Unwritten == 0 { // else it is this machine that takes long
						g.clock.forward(time.Second)
					}
					return cond()
				}
			}
			for range 3 {
				g.restart(app)
				until(t, "it is told again", later(waits))
			}
			setScenario(t, sim, apnssim.Scenario{})
			until(t, "all are taken", later(func() bool {
				st := g.Stats().Apps["mail"]
				return st.Accepted == devices && st.Waiting.Notifications == 0
			}))
			if problem := g.Problems()["mail"]; problem != "" {
				t.Errorf("then it is told: %s", problem)
			}
		})
	}
}
