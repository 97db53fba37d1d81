package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// putOff are the ways in which APNs can put off one device, and never the others.
var putOff = []apnssim.Rule{
	{Reason: apnssim.TooManyRequests},
	{Reason: apnssim.InternalServerError},
	{Reason: apnssim.ServiceUnavailable},
	{Status: 418, Reason: "Teapot"},
}

// named makes a rule apply to the devices with a prefix.
func named(rule apnssim.Rule, prefix string) apnssim.Scenario {
	rule.Prefix = prefix
	return apnssim.Scenario{Reasons: []apnssim.Rule{rule}}
}

// However APNs puts off one device, and however much waits for it, other devices are served
// at once, over the same connection and over others, even after a restart. What waits is
// counted, and is delivered in order when APNs takes it.
func TestOneDeviceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	stacks := []struct{ count, size int }{{2000, 60}, {8000, 60}, {600, 4000}}
	for i, rule := range putOff {
		for j, mode := range allModes {
			stack := stacks[(i+j)%len(stacks)] // each with each, over the reasons
			t.Run(fmt.Sprintf("%s, %s, %d of %d bytes", rule.Reason, mode.name, stack.count, stack.size), func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, named(rule, "cc"))
				clock, dir := new(movableClock), t.TempDir()
				s := openStore(t, dir, boltstore.Options{Now: clock.now})
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Now = clock.now
				b := startBridge(t, c)
				session, p := open(t, b, Origin{Client: "both"})
				payload := func(i int) string { return fmt.Sprintf(`{"aps":{"alert":"%0*d"}}`, stack.size-20, i) }
				for i := range stack.count {
					p.push(t, session, note(deviceToken([]byte{0xcc}, 1), uint32(i), payload(i)))
				}
				othersAreServed(t, b, session, p, 0)
				if mode.mode != SpoolOff {
					session.Close(nil)
					b.Close()
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = openStore(t, dir, boltstore.Options{Now: clock.now})
					c = spooled(s, mode.mode, mailApp(t, sim))
					c.Now = clock.now
					b = startBridge(t, c)
					session, p = open(t, b, Origin{Client: "both"})
					othersAreServed(t, b, session, p, 1000)
				}
				until(t, "what waits is counted", func() bool {
					st := b.Stats().Apps["mail"]
					return st.Waiting.Notifications+int(st.Dropped) == stack.count
				})
				if stack.count > 1000 {
					return // each takes a round trip
				}
				setScenario(t, sim, apnssim.Scenario{})
				clock.forward(24 * time.Hour)
				session.Close(nil)
				delivered(t, b)
				inOrder(t, sim, "cc", stack.count-int(b.Stats().Apps["mail"].Dropped))
			})
		}
	}
}

// Devices for which APNs does not answer, while it answers for others, do not fill the window
// of their connection: it is read on long before their requests time out.
func TestSilentDevicesHoldUpNobody(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, stack := range []struct{ devices, each int }{{1, 1}, {1, 700}, {300, 2}} {
			t.Run(fmt.Sprintf("%s, %d of %d", mode.name, stack.each, stack.devices), func(t *testing.T) {
				t.Parallel()
				never := &apnssim.Latency{Fixed: 3_600_000}
				sim := startSim(t, named(apnssim.Rule{Status: 200, Latency: never}, "cc"))
				c := spooled(openStore(t, t.TempDir(), boltstore.Options{}), mode.mode, mailApp(t, sim))
				c.Limits.RequestTimeout = time.Hour // longer than until's patience
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				for i := range stack.devices * stack.each {
					p.push(t, session, note(deviceToken([]byte{0xcc}, i%stack.devices), uint32(i), fmt.Sprint(i)))
				}
				const others = 3000
				for i := range others {
					p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
				}
				until(t, "the others are served", func() bool { return b.Stats().Apps["mail"].Accepted == others })
				addsUp(t, b)
			})
		}
	}
}

// othersAreServed pushes to others than the device that is put off, over its
// connection and another one.
func othersAreServed(t *testing.T, b *Bridge, with *Session, p *recorder, from int) {
	t.Helper()
	const each = 150
	before := b.Stats().Apps["mail"].Accepted
	other, po := open(t, b, Origin{Client: "other"})
	for i := range each {
		p.push(t, with, note(deviceToken(goodDevice, from+i), uint32(i), hello))
		po.push(t, other, note(deviceToken([]byte{0xbb}, from+i), uint32(i), hello))
	}
	until(t, "the others are served", func() bool { return b.Stats().Apps["mail"].Accepted-before == 2*each })
	other.Close(nil)
}

// inOrder checks that the devices with a prefix were served count times in all, each in the
// order of the payloads.
func inOrder(t *testing.T, sim *apnssim.Simulator, prefix string, count int) {
	t.Helper()
	last, served := make(map[string]string), 0
	for _, push := range sim.Received(0).Pushes {
		if push.Status != 200 || push.Token[:len(prefix)] != prefix {
			continue
		}
		if served++; string(push.Payload) <= last[push.Token] {
			t.Fatalf("%.60s after %.60s", push.Payload, last[push.Token])
		}
		last[push.Token] = string(push.Payload)
	}
	if served != count {
		t.Errorf("%d were served, want %d", served, count)
	}
}

// What waits for its device leaves the window: the provider's connection is read on
// with default limits, however many come behind it.
func TestOneThatWaitsLeavesTheWindow(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, rule := range putOff {
			t.Run(mode.name+" "+string(rule.Reason), func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, named(rule, "cc"))
				s := openStore(t, t.TempDir(), boltstore.Options{})
				b := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
				session, p := open(t, b, Origin{})
				for i := range 5 {
					p.push(t, session, note(deviceToken([]byte{0xcc}, i%2), uint32(i), hello))
				}
				const count = 3000 // three windows
				for i := range count {
					p.push(t, session, note(deviceToken(goodDevice, i), uint32(5+i), hello))
				}
				until(t, "all good ones are accepted", func() bool { return sim.Stats().Accepted == count })
			})
		}
	}
}

// Notifications that APNs never takes, and more of them than it takes to close a door, delay
// no other one by more than a few seconds.
func TestPoisonMakesNobodyLate(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, rule := range []apnssim.Rule{{Reason: apnssim.InternalServerError}, {Reason: apnssim.ServiceUnavailable},
			{Status: 502, Reason: "Odd"}} {
			for _, many := range []int{6, 50} {
				t.Run(fmt.Sprintf("%s, %d of %s", mode.name, many, rule.Reason), func(t *testing.T) {
					t.Parallel()
					sim := startSim(t, named(rule, "cc"))
					clock := new(movableClock)
					s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
					c := spooled(s, mode.mode, mailApp(t, sim))
					c.Now = clock.now
					b := startBridge(t, c)
					session, p := open(t, b, Origin{})
					for i := range many {
						p.push(t, session, note(deviceToken([]byte{0xcc}, i), uint32(i), hello))
					}
					until(t, "they wait", func() bool { return b.Stats().Retrying+b.Stats().Apps["mail"].Waiting.OnDisk >= many })
					var late []time.Duration
					for i := range 40 { // one a second
						clock.forward(time.Second)
						p.push(t, session, note(deviceToken(goodDevice, i), uint32(100+i), hello))
						late = append(late, clock.late(t, b, "it is accepted", func() bool { return sim.Stats().Accepted == 1+i }))
					}
					// Until it is known whose fault it is, good ones go along with the probes.
					if worst := slices.Max(late); worst > 5*time.Second {
						t.Errorf("late by %v", late)
					}
				})
			}
		}
	}
}

// A request without an answer is repeated once, not again and again: in any mode, after
// restarts and kills, and however often APNs is well in between.
func TestOneRepeatOnly(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			lost := apnssim.Scenario{Resets: &apnssim.Resets{When: apnssim.Lost}}
			sim := startSim(t, lost)
			dir, clock := t.TempDir(), new(movableClock)
			s := openStore(t, dir, boltstore.Options{Now: clock.now})
			start := func() *Bridge {
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Now = clock.now
				return startBridge(t, c)
			}
			b := start()
			session, p := open(t, b, Origin{})
			const count = 20
			for i := range count {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
			}
			until(t, "they are asked for", func() bool { return sim.Stats().Received >= 5 })
			session.Close(nil)
			dropped, restarts := 0, 4
			if mode.mode == SpoolOff {
				restarts = 0
			}
			for range restarts {
				asked := sim.Stats().Received
				clock.forward(5 * time.Minute)
				until(t, "some are asked for again, or none is left", func() bool {
					clock.forward(time.Second)
					return sim.Stats().Received > asked || b.Stats().Apps["mail"].Waiting.Notifications == 0
				})
				b.Close()
				dropped += int(b.Stats().Apps["mail"].Dropped)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openStore(t, dir, boltstore.Options{Now: clock.now})
				b = start()
			}
			until(t, "all have come to their end", func() bool {
				clock.forward(time.Minute)
				st := b.Stats()
				return st.Unsettled == 0 && st.Apps["mail"].Waiting.Notifications == 0
			})
			dropped += int(b.Stats().Apps["mail"].Dropped)
			times := make(map[string]int)
			for _, push := range sim.Received(0).Pushes {
				times[push.Token]++
			}
			var counts []int
			for _, n := range times {
				counts = append(counts, n)
			}
			// A kill may come between an attempt and the writing of its flags; Close
			// writes them.
			if most := slices.Max(counts); most > 2 || len(times) != count || dropped != count {
				t.Errorf("%d devices were asked for at most %d times, %d given up; want %d, 2 and %d",
					len(times), most, dropped, count, count)
			}
		})
	}
}

// One notification that APNs never looks at costs the others of its app no connection each time,
// also where it waits on disk between two attempts.
func TestNeverLookedAt(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "cc", Reason: apnssim.Shutdown}}})
			clock := new(movableClock)
			s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Now, c.Limits.RetryDelay, c.Limits.RetryDelayMax = clock.now, time.Hour, time.Hour
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			p.push(t, session, note(deviceToken([]byte{0xcc}, 1), 1, hello))
			attempts := 2 // the second goes at once, on a connection of its own
			for accepted := range 12 {
				until(t, "it was tried again", func() bool { return sim.Stats().Received-accepted >= attempts })
				until(t, "it waits", func() bool { return gateOf(b, "mail").Asleep == 1 })
				p.push(t, session, note(deviceToken(goodDevice, accepted), uint32(2+accepted), hello))
				await(t, sim, "another one is taken", accepted+1)
				clock.forward(time.Hour)
				attempts++
			}
			if got := sim.Stats().Connections; got > attempts/2 {
				t.Errorf("%d connections for %d attempts at one notification, want a few", got, attempts)
			}
		})
	}
}
