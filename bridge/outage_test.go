package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// gateOf is the state of an app's way to production.
func gateOf(b *Bridge, app string) LaneStats { return b.Stats().Apps[app].Lanes.Production }

func isOpen(b *Bridge, app string) func() bool {
	return func() bool { return gateOf(b, app).ClosedSince != 0 }
}

func setScenario(t *testing.T, sim *apnssim.Simulator, scenario apnssim.Scenario) {
	t.Helper()
	if err := sim.SetScenario(scenario); err != nil {
		t.Fatal(err)
	}
}

// pushInOrder pushes count notifications to devices by turns, with payloads that tell their
// order.
func pushInOrder(t *testing.T, s *Session, p *recorder, from, devices, count int) {
	t.Helper()
	for i := range count {
		p.push(t, s, note(deviceToken(goodDevice, from+i%devices), uint32(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i)))
	}
}

// checkOrder checks that each notification of pushInOrder was accepted once, in order for
// its device.
func checkOrder(t *testing.T, sim *apnssim.Simulator, count int) {
	t.Helper()
	last := make(map[string]string)
	accepted := 0
	for _, push := range sim.Received(0).Pushes {
		if push.Status != 200 {
			continue
		}
		accepted++
		if payload := string(push.Payload); payload <= last[push.Token] {
			t.Fatalf("%s after %s for one device", payload, last[push.Token])
		} else {
			last[push.Token] = payload
		}
	}
	if st := sim.Stats(); accepted != count || st.Accepted != count || st.Duplicates != 0 {
		t.Errorf("%d accepted with %d duplicates, want %d and none", st.Accepted, st.Duplicates, count)
	}
}

// While APNs answers nothing but 503, or takes no connection, only probes are sent, however
// many notifications wait. Then all are delivered, each once.
func TestOutage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		outage apnssim.Outage
		want   string // in the app's problem
	}{
		{"503", apnssim.Outage{}, "503 ServiceUnavailable"},
		{"refused connections", apnssim.Outage{Refuse: true}, "cannot be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &tt.outage})
			clock := new(movableClock)
			b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
			s, p := open(t, b, Origin{})
			const first = 5 // failures in a row close the door
			pushInOrder(t, s, p, 1000, first, first)
			until(t, "it has failed often enough", isOpen(b, "mail"))
			before := len(sim.Received(0).Pushes)
			const devices, count, probes = 40, 200, 8
			pushInOrder(t, s, p, 0, devices, count)
			until(t, "the first of each device waits", func() bool { return gateOf(b, "mail").AtDoor == devices+first })
			for range probes {
				before := gateOf(b, "mail").Probes
				clock.forward(2 * time.Minute)
				until(t, "a probe comes back", func() bool {
					st := gateOf(b, "mail")
					return st.Probes > before && st.AtDoor == devices+first
				})
			}
			if got := b.Problems()["mail"]; !strings.Contains(got, tt.want) ||
				!strings.Contains(got, fmt.Sprintf("%d notifications wait", count+first)) {
				t.Errorf("the problem is %q", got)
			}
			setScenario(t, sim, apnssim.Scenario{})
			asked, probed := len(sim.Received(0).Pushes)-before, int(gateOf(b, "mail").Probes)
			clock.forward(2 * time.Minute)
			s.Shutdown(false)
			delivered(t, b)
			if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
				t.Errorf("told %v, closed %d; want one close", fails, closes)
			}
			checkOrder(t, sim, count+first)
			if tt.outage.Refuse {
				if dials := b.Stats().Apps["mail"].Pool.DialFailures; asked != 0 || dials > uint64(probed+1) {
					t.Errorf("APNs was asked %d times and dialled %d times in vain, with %d probes", asked, dials, probed)
				}
			} else if asked > probed || asked < probes {
				t.Errorf("APNs was asked %d times, with %d probes", asked, probed)
			}
			if st := gateOf(b, "mail"); st.ClosedSince != 0 || st.AtDoor != 0 || len(b.Problems()) != 0 {
				t.Errorf("in the end %+v, problems %v", st, b.Problems())
			}
		})
	}
}

// A credential that APNs does not take puts the app on hold until there is a new one, which
// is then tried at once.
func TestCredentialHold(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.InvalidProviderToken}}})
	clock := stopped()
	app := mailApp(t, sim)
	b := startBridge(t, Config{Apps: []App{app}, Now: clock.now})
	s, p := open(t, b, Origin{})
	pushInOrder(t, s, p, 0, 20, 20)
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 20 })
	clock.forward(time.Second)
	until(t, "another device is tried soon", func() bool {
		return gateOf(b, "mail").Probes == 1 && gateOf(b, "mail").AtDoor == 20
	})
	asked := sim.Stats().Received
	clock.forward(heldPeriod/2 - 5*time.Second)
	pushInOrder(t, s, p, 100, 20, 80)
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 40 })
	if got := sim.Stats().Received; got != asked || gateOf(b, "mail").Probes != 1 {
		t.Errorf("APNs was asked %d times before 30 s were over", got-asked)
	}
	clock.forward(heldPeriod + 5*time.Second)
	if err := sim.Wait(within(t), func(st apnssim.Stats) bool { return st.Received == asked+1 }); err != nil {
		t.Fatal(err)
	}
	until(t, "the probe is back", func() bool { return gateOf(b, "mail").AtDoor == 40 })
	if got := b.Problems()["mail"]; !strings.Contains(got, "InvalidProviderToken") {
		t.Errorf("the problem is %q", got)
	}

	setScenario(t, sim, apnssim.Scenario{})
	other, err := upstream.NewTokenCredential(pki().TokenKey, "XYZ123DEFG", "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	app.Credentials = forAll(other)
	if err := b.Reload([]App{app}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown(false)
	delivered(t, b)
	p.wait(t)
	checkOrder(t, sim, 100)
	if got := sim.Stats().Received; got != asked+1+100 {
		t.Errorf("APNs was asked %d times, want %d", got, asked+1+100)
	}
}

// What waits for production goes to the sandbox when the app does.
func TestOutageEndsWithAnotherEnvironment(t *testing.T) {
	t.Parallel()
	down, sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}), startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, down)}, Now: new(movableClock).now})
	s, p := open(t, b, Origin{})
	pushInOrder(t, s, p, 0, 10, 50)
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 10 })
	app := mailApp(t, sim)
	app.Environment = Sandbox
	if err := b.Reload([]App{app}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown(false)
	delivered(t, b)
	p.wait(t)
	checkOrder(t, sim, 50)
}

// What a removed app has taken is delivered all the same when APNs serves again.
func TestOutageOfARemovedApp(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	clock := new(movableClock)
	mail := mailApp(t, sim)
	chat := mail
	chat.Name = "chat"
	b := startBridge(t, Config{Apps: []App{mail, chat}, Now: clock.now})
	s, p := open(t, b, Origin{})
	pushInOrder(t, s, p, 0, 10, 50)
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 10 })
	if err := b.Reload([]App{chat}); err != nil {
		t.Fatal(err)
	}
	setScenario(t, sim, apnssim.Scenario{})
	clock.forward(2 * time.Minute)
	until(t, "all are delivered", func() bool { return sim.Stats().Accepted == 50 })
	checkOrder(t, sim, 50)
	s.Close(nil)
	until(t, "nothing is left of it", func() bool { return b.Stats().QueuedBytes == 0 })
}

// One app is down, the other is not delayed.
func TestOutageOfOneApp(t *testing.T) {
	t.Parallel()
	down, sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}}), startSim(t, apnssim.Scenario{})
	mail, chat := mailApp(t, down), mailApp(t, sim)
	chat.Name = "chat"
	b := startBridge(t, Config{Apps: []App{mail, chat}})
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 100)
	until(t, "one app waits", isOpen(b, "mail"))
	other, peer := open(t, b, Origin{App: "chat"})
	pushMany(t, other, peer, 0, 500)
	other.Shutdown(false)
	peer.wait(t)
	st := b.Stats().Apps["chat"]
	if st.Accepted != 500 || st.Retried != 0 || st.Lanes.Production.ClosedSince != 0 {
		t.Errorf("the healthy app: %+v", st)
	}
	if !isOpen(b, "mail")() || b.Problems()["mail"] == "" || b.Problems()["chat"] != "" {
		t.Errorf("problems %v, want one, of the app that is down", b.Problems())
	}
	setScenario(t, down, apnssim.Scenario{})
	s.Shutdown(false)
	delivered(t, b)
	p.wait(t)
	if st := down.Stats(); st.Accepted != 100 || st.Duplicates != 0 {
		t.Errorf("%d accepted, %d doubled; want 100 and 0", st.Accepted, st.Duplicates)
	}
}

// What expires while APNs is away is counted, and not delivered.
func TestExpiryInAnOutage(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	s, p := open(t, b, Origin{})
	const count = 60
	for i := range count {
		n := note(deviceToken(goodDevice, i%20), uint32(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i))
		if i%3 == 0 {
			n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+60), true
		}
		p.push(t, s, n)
	}
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 20 })
	clock.forward(61 * time.Second)
	until(t, "those that are first have expired", func() bool { return b.Stats().Apps["mail"].Expired > 0 })
	setScenario(t, sim, apnssim.Scenario{})
	clock.forward(2 * time.Minute)
	s.Shutdown(false)
	delivered(t, b)
	if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
		t.Errorf("told %v, closed %d; want silence", fails, closes)
	}
	checkOrder(t, sim, count-count/3)
	if got := b.Stats().Apps["mail"].Expired; got != count/3 {
		t.Errorf("%d have expired, want %d", got, count/3)
	}
}

// APNs takes connections and requests, but leaves all except the first without an answer. Of
// what was sent, probes are repeated; everything else waits until there is an answer.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name string
		mode SpoolMode
	}{{"off", SpoolOff}, {"overflow", SpoolOverflow}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			inTime(t, 500*time.Millisecond, 3*time.Second, func(timeout time.Duration) error {
				sim := startSim(t, apnssim.Scenario{BlackHole: &apnssim.BlackHole{After: 1}})
				s := openStore(t, t.TempDir(), boltstore.Options{})
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Limits = Limits{RequestTimeout: timeout, Connections: 2}
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count = 400
				pushInOrder(t, session, p, 0, 200, count)
				until(t, "it is known", func() bool { return strings.Contains(b.Problems()["mail"], "does not answer") })
				until(t, "some probes have been in vain", func() bool { return gateOf(b, "mail").Probes >= 3 })
				setScenario(t, sim, apnssim.Scenario{})
				session.Close(nil)
				delivered(t, b)
				st := b.Stats().Apps["mail"]
				if int(st.Accepted+st.Dropped) != count {
					t.Errorf("%d accepted and %d given up of %d", st.Accepted, st.Dropped, count)
				}
				if doubled := sim.Stats().Duplicates; doubled > int(st.Ambiguous) {
					t.Errorf("%d doubled, with %d attempts repeated without an answer", doubled, st.Ambiguous)
				}
				if st.Dropped > count/4 { // each answer lets two more go, into the silence
					return fmt.Errorf("%d given up of %d", st.Dropped, count)
				}
				return nil
			})
		})
	}
}
