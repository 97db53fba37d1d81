package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// One topic of an app's certificates that APNs does not take, or all of whose tokens
// it refuses, stops no other topic.
func TestOneTopicStopsNoOther(t *testing.T) {
	t.Parallel()
	const wrong = "com.example.other"
	for _, mode := range allModes {
		for _, tt := range []struct {
			name     string
			scenario apnssim.Scenario
			count    int
		}{
			{"topic refused", apnssim.Scenario{Topics: []string{topic}}, 6},
			{"topic refused, many", apnssim.Scenario{Topics: []string{topic}}, 900},
			{"tokens refused", apnssim.Scenario{Reasons: []apnssim.Rule{{Topic: wrong, Reason: apnssim.BadDeviceToken}}}, 60},
			{"for its topic", apnssim.Scenario{Reasons: []apnssim.Rule{{Topic: wrong, Reason: apnssim.DeviceTokenNotForTopic}}}, 300},
		} {
			t.Run(mode.name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, tt.scenario)
				clock := new(movableClock)
				s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
				app := mailApp(t, sim)
				app.Topic, app.OnBadToken = "", Continue
				c := spooled(s, mode.mode, app)
				c.Now = clock.now
				b := startBridge(t, c)
				bad, pb := open(t, b, Origin{Client: "bad", Topic: wrong})
				good, pg := open(t, b, Origin{Client: "good", Topic: topic})
				for i := range tt.count {
					pb.push(t, bad, note(deviceToken(goodDevice, i), uint32(i), hello))
				}
				until(t, "the wrong topic's door is closed", func() bool { return gateOf(b, "mail").TopicsShut == 1 })
				const count = 300
				for i := range count { // the same devices
					pg.push(t, good, note(deviceToken(goodDevice, i), uint32(i), hello))
				}
				if d := clock.late(t, b, "the good topic is served", func() bool {
					return b.Stats().Apps["mail"].Accepted == count
				}); d > 15*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		}
	}
}

// Topics that always get 5xx from APNs, with many devices each, hold up no other, whichever came
// first. They are reported as long as they fail, and a probe finds out when they no longer do.
func TestTopicsThatFail(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, many := range []int{1, 3} {
			for _, first := range []string{"the good first", "the bad first"} {
				t.Run(fmt.Sprintf("%s, %d, %s", mode.name, many, first), func(t *testing.T) {
					t.Parallel()
					const devices, count = 500, 1000
					failing := make([]apnssim.Rule, many)
					for i := range failing {
						failing[i] = apnssim.Rule{Topic: fmt.Sprint("com.example.bad", i), Reason: apnssim.InternalServerError}
					}
					sim := startSim(t, apnssim.Scenario{Reasons: failing})
					clock := new(movableClock)
					app := mailApp(t, sim)
					app.Topic = ""
					c := spooled(openStore(t, t.TempDir(), boltstore.Options{Now: clock.now}), mode.mode, app)
					c.Now = clock.now
					b := startBridge(t, c)
					good, pg := open(t, b, Origin{Client: "good", Topic: topic})
					serve := func(from, to int) {
						t.Helper()
						for i := from; i < to; i++ {
							pg.push(t, good, note(deviceToken(goodDevice, i), uint32(i), hello))
						}
						if d := clock.late(t, b, "the good ones are accepted", func() bool {
							return b.Stats().Apps["mail"].Accepted == uint64(to)
						}); d > 10*time.Second {
							t.Errorf("it took %v", d)
						}
					}
					if first == "the good first" {
						serve(0, 100)
					}
					for i, rule := range failing {
						bad, pb := open(t, b, Origin{Client: "bad", Topic: rule.Topic})
						for k := range devices {
							pb.push(t, bad, note(deviceToken([]byte{0xbb}, devices*i+k), uint32(k), hello))
						}
					}
					until(t, "their doors are closed", func() bool { return gateOf(b, "mail").TopicsShut == many })
					clock.forward(time.Minute) // without a good one several may have been taken for an outage
					if first != "the good first" {
						pg.push(t, good, note(deviceToken(goodDevice, 0), 0, `{"aps":{}}`))
						until(t, "the first is accepted", func() bool { clock.forward(time.Second); return b.Stats().Apps["mail"].Accepted == 1 })
					}
					until(t, "what was sent before the doors closed is answered", func() bool {
						pool := gateOf(b, "mail").Pool
						return pool.InFlight+pool.Queued == 0
					})
					asked := sim.Stats().Rejected
					serve(int(b.Stats().Apps["mail"].Accepted), count)
					if vain := sim.Stats().Rejected - asked; vain > 200*many {
						t.Errorf("meanwhile the others were asked about %d times", vain)
					}
					all := count
					until(t, "it is told of the others, and that the app is served", func() bool {
						serve(all, all+1) // with nothing but failures for a while it is an outage
						all++
						return strings.Contains(b.Problems()["mail"], "com.example.bad") && b.Serves("mail")
					})
					setScenario(t, sim, apnssim.Scenario{})
					until(t, "all are accepted", func() bool {
						clock.forward(time.Second)
						return b.Stats().Apps["mail"].Accepted == uint64(all+devices*many)
					})
					until(t, "that is told", func() bool { return b.Problems()["mail"] == "" })
					if got := sim.Stats(); got.Duplicates != 0 {
						t.Errorf("%d came twice", got.Duplicates)
					}
				})
			}
		}
	}
}

// A wrong topic that is corrected by a reload frees what was sent under it and what
// comes after, at once, also after a restart, and in the order of each device.
func TestTopicCorrected(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, restart := range []bool{false, true} {
			if restart && mode.mode == SpoolOff {
				continue
			}
			for _, reason := range []apnssim.Reason{apnssim.TopicDisallowed, apnssim.DeviceTokenNotForTopic, apnssim.BadTopic} {
				t.Run(fmt.Sprintf("%s, %s, restart %v", mode.name, reason, restart), func(t *testing.T) {
					t.Parallel()
					const wrong = "com.example.other"
					sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Topic: wrong, Reason: reason}}})
					dir, clock := t.TempDir(), new(movableClock)
					s := openStore(t, dir, boltstore.Options{Now: clock.now})
					right := mailApp(t, sim)
					right.OnBadToken = Continue
					app := right
					app.Topic = wrong
					start := func() *Bridge {
						c := spooled(s, mode.mode, app)
						c.Now = clock.now
						return startBridge(t, c)
					}
					b := start()
					session, p := open(t, b, Origin{})
					const count = 150
					pushInOrder(t, session, p, 0, 75, count)
					until(t, "they wait", func() bool { return gateOf(b, "mail").TopicsShut == 1 })
					// What has just been written counts in memory too, for a moment.
					waiting := min(b.Stats().Apps["mail"].Waiting.Notifications, count)
					if restart {
						session.Close(nil)
						b.Close()
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						s = openStore(t, dir, boltstore.Options{Now: clock.now})
						b = start()
						session, p = open(t, b, Origin{})
					}
					if err := b.Reload([]App{right}); err != nil {
						t.Fatal(err)
					}
					for i := range 50 {
						p.push(t, session, note(deviceToken([]byte{0xbb}, i), uint32(1000+i), hello))
					}
					until(t, "those after it", func() bool { return sim.Stats().Accepted >= 50 })
					clock.forward(10 * time.Second) // of those asked before, which wait for themselves
					session.Close(nil)
					delivered(t, b)
					if got := sim.Stats(); got.Accepted < 50+waiting-60 || got.Duplicates != 0 {
						t.Errorf("%d accepted of the 50 new and the %d that waited, %d twice", got.Accepted, waiting, got.Duplicates)
					}
				})
			}
		}
	}
}

// An app has at most topics_per_app lines. When one more is needed, one of which nothing is left
// is removed; one that a session may write into stays.
func TestTopicsPerApp(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	app := mailApp(t, sim)
	app.Topic = ""
	c := spooled(s, SpoolOverflow, app)
	const most = 5
	c.Limits.TopicsPerApp = most
	b := startBridge(t, c)
	named := func(i int) Origin { return Origin{App: "mail", Client: "c", Topic: fmt.Sprintf("com.example.%d", i)} }
	for round := range 4 { // other topics in each
		var sessions []*Session
		for i := range most {
			session, p := open(t, b, named(round*most+i))
			p.push(t, session, note(deviceToken(goodDevice, i), 1, hello))
			sessions = append(sessions, session)
		}
		until(t, "they are accepted", func() bool { return b.Stats().Apps["mail"].Accepted == uint64((round+1)*most) })
		if _, err := b.Open(new(recorder), named(1000)); err == nil ||
			!strings.Contains(err.Error(), "limits.topics_per_app") {
			t.Fatalf("got %v, want one topic too many", err)
		}
		again, _ := open(t, b, named(round*most))
		again.Close(nil)
		for _, session := range sessions {
			session.Close(nil)
		}
		until(t, "they are over", func() bool { return b.Stats().Sessions == 0 })
	}
	l := b.apps["mail"].lanes[Production]
	l.lock()
	lines := len(l.core.Lines())
	l.unlock()
	if lines > most {
		t.Errorf("%d lines, want %d at most", lines, most)
	}
}
