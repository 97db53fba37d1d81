package bridge

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// openStore opens a store that is closed at the end of the test, unless it is
// before.
func openStore(t *testing.T, dir string, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// spooled is a configuration with a spool.
func spooled(s *boltstore.Store, mode SpoolMode, apps ...App) Config {
	return Config{Apps: apps, Feedback: s.Feedback(), Ledger: s.Ledger(), Spool: s.Spool(), Tombstones: s.Tombstones(),
		Mode: mode}
}

var spoolModes = []struct {
	name string
	mode SpoolMode
}{{"overflow", SpoolOverflow}, {"always", SpoolAlways}}

// allModes are those, and the one without a disk.
var allModes = append(spoolModes[:2:2], struct {
	name string
	mode SpoolMode
}{"off", SpoolOff})

// While APNs is away a provider goes on writing, whatever its window: what it writes goes to
// disk and not to memory. It is delivered in order for each device, together with what comes
// meanwhile.
func TestSpoolTakesAnOutage(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Limits = Limits{Window: 100, SpoolAhead: 50_000}
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			const count, devices = 3000, 70
			pushInOrder(t, session, p, 0, devices, count)
			until(t, "only what was read ahead is in memory", func() bool {
				st := b.Stats()
				return st.Unsettled <= 150 && st.QueuedBytes <= 2*50_000 && st.Apps["mail"].Waiting.OnDisk > count-150
			})
			setScenario(t, sim, apnssim.Scenario{})
			for i := range count {
				p.push(t, session, note(deviceToken(goodDevice, i%devices), uint32(i),
					fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+count+i)))
			}
			session.Shutdown(false)
			delivered(t, b)
			if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
				t.Errorf("told %v, closed %d; want one close", fails, closes)
			}
			session.Close(nil)
			checkOrder(t, sim, 2*count)
			checkEmpty(t, b, s)
		})
	}
}

// checkEmpty checks that nothing is left of what was taken.
func checkEmpty(t *testing.T, b *Bridge, s *boltstore.Store) {
	t.Helper()
	if st := b.Stats(); st.QueuedBytes != 0 || st.Unsettled != 0 || st.Retrying != 0 {
		t.Errorf("%d bytes, %d notifications are left, %d wait", st.QueuedBytes, st.Unsettled, st.Retrying)
	}
	if err := s.Spool().Flush(within(t)); err != nil {
		t.Error(err)
	}
	if left := s.Spool().Lines(); len(left) != 0 {
		t.Errorf("the spool has still something for %v", left)
	}
}

// mailLine is what waits of the app of the tests.
var mailLine = store.Line{App: "mail", Environment: "production"}

// What a bridge leaves behind is delivered by the next one, before what that takes for the same
// devices: whether the first was shut down or closed at once, with notifications waiting, in
// flight or not sent yet.
func TestSpoolOverARestart(t *testing.T) {
	t.Parallel()
	scenarios := []struct {
		name     string
		scenario apnssim.Scenario
		inOrder  bool
	}{
		{"shut down in an outage", apnssim.Scenario{Outage: &apnssim.Outage{}}, true},
		{"shut down with nobody there", apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}, true},
		{"closed in an outage", apnssim.Scenario{Outage: &apnssim.Outage{}}, false},
		{"closed in flight", apnssim.Scenario{Latency: apnssim.Latency{Fixed: 60_000}}, false},
	}
	for _, mode := range spoolModes {
		for _, tt := range scenarios {
			t.Run(mode.name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				before := startSim(t, tt.scenario)
				dir := t.TempDir()
				s := openStore(t, dir, boltstore.Options{})
				c := spooled(s, mode.mode, mailApp(t, before))
				c.Limits.SpoolAhead = 20_000
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count, devices = 900, 30
				for i := range count {
					p.push(t, session, note(deviceToken(goodDevice, i%devices), uint32(i),
						fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i)))
				}
				if tt.inOrder {
					shutdown(t, b)
				}
				b.Close()
				if st := b.Stats(); st.Apps["mail"].Abandoned != 0 {
					t.Errorf("%d are abandoned", st.Apps["mail"].Abandoned)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}

				sim := startSim(t, apnssim.Scenario{})
				s = openStore(t, dir, boltstore.Options{})
				b = startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
				session, p = open(t, b, Origin{})
				for i := range count {
					p.push(t, session, note(deviceToken(goodDevice, i%devices), uint32(i),
						fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+count+i)))
				}
				session.Close(nil)
				delivered(t, b)
				checkOrder(t, sim, 2*count)
				checkEmpty(t, b, s)
			})
		}
	}
}

// APNs comes and goes. Whatever coincides, each notification is delivered once, in order for
// its device.
func TestSpoolKeepsOrder(t *testing.T) {
	t.Parallel()
	rounds := 6
	if *long {
		rounds = 100
	}
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Limits = Limits{Window: 50, SpoolAhead: 30_000}
			b := startBridge(t, c)
			const sessions, each, devices = 4, 400, 7
			for round := range rounds {
				var wg sync.WaitGroup
				for n := range sessions {
					session, p := open(t, b, Origin{})
					wg.Go(func() {
						defer session.Close(nil)
						for i := range each {
							number := round*each + i
							p.push(t, session, note(deviceToken(goodDevice, n*devices+i%devices), uint32(i),
								fmt.Sprintf(`{"aps":{"badge":%d}}`, 1_000_000+number)))
							if n == 0 && i%80 == 79 {
								var scenario apnssim.Scenario
								if i/80%2 == round%2 {
									scenario.Outage = new(apnssim.Outage)
								}
								setScenario(t, sim, scenario)
							}
						}
					})
				}
				wg.Wait()
				setScenario(t, sim, apnssim.Scenario{})
				if round%2 == 0 {
					delivered(t, b)
				}
			}
			delivered(t, b)
			t.Logf("%d attempts without an answer were repeated", b.Stats().Apps["mail"].Ambiguous)
			checkOrder(t, sim, rounds*sessions*each)
			checkEmpty(t, b, s)
			if st := b.Stats().Apps["mail"]; st.Replayed == 0 {
				t.Error("nothing went over the disk")
			}
		})
	}
}

// When a notification from disk is refused, there is no provider to tell: a bad token goes to
// the feedback list, and to the list of bad tokens.
func TestSpoolTellsFeedback(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	b := startBridge(t, spooled(s, SpoolOverflow, mailApp(t, sim)))
	session, p := open(t, b, Origin{})
	for i, prefix := range [][]byte{goodDevice, badDevice, deadDevice, goodDevice, badDevice} {
		p.push(t, session, note(deviceToken(prefix, i), uint32(i), hello))
	}
	until(t, "all are on disk or read ahead", func() bool { return b.Stats().Apps["mail"].Replayed >= 5 })
	session.Shutdown(false)
	if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
		t.Errorf("told %v, closed %d; want one close", fails, closes)
	}
	session.Close(nil)
	setScenario(t, sim, apnssim.Scenario{})
	delivered(t, b)
	pending, err := s.Feedback().Pending(t.Context(), "mail", 0, 10)
	if err != nil || len(pending) != 3 {
		t.Errorf("the feedback list has %d entries, error %v; want 3", len(pending), err)
	}
	if st := b.Stats().Apps["mail"]; st.Accepted != 2 || st.BadTokens != 2 || st.Unregistered != 1 || st.BadTokensListed != 2 {
		t.Errorf("%+v", st)
	}
	checkEmpty(t, b, s)
}

// What expires on disk is counted, and not delivered.
func TestSpoolExpiry(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	clock := new(movableClock)
	s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Now = clock.now
	b := startBridge(t, c)
	session, p := open(t, b, Origin{})
	tests := []struct {
		name    string
		set     func(*binproto.Notification)
		expires bool
	}{
		{"none", func(*binproto.Notification) {}, false},
		{"0", func(n *binproto.Notification) { n.HasExpiry = true }, true},
		{"in a minute", func(n *binproto.Notification) {
			n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+60), true
		}, true},
		{"in an hour", func(n *binproto.Notification) {
			n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+3600), true
		}, false},
	}
	want := 0
	for i, tt := range tests {
		n := note(deviceToken(goodDevice, i), uint32(i), hello)
		tt.set(n)
		p.push(t, session, n)
		if !tt.expires {
			want++
		}
	}
	session.Close(nil)
	until(t, "all are on disk or read ahead", func() bool {
		app := b.Stats().Apps["mail"]
		return app.Replayed >= 4 || app.Waiting.OnDisk == 4
	})
	clock.forward(10 * time.Minute)
	until(t, "those that expire have", func() bool {
		clock.forward(100 * time.Millisecond)
		return b.Stats().Apps["mail"].Expired == uint64(len(tests)-want) // one that APNs was asked about in time may yet be accepted
	})
	setScenario(t, sim, apnssim.Scenario{})
	clock.forward(10 * time.Minute)
	delivered(t, b)
	if st := b.Stats().Apps["mail"]; int(st.Accepted) != want || int(st.Expired) != len(tests)-want {
		t.Errorf("%d accepted, %d expired; want %d and %d", st.Accepted, st.Expired, want, len(tests)-want)
	}
	checkEmpty(t, b, s)
}

// APNs is slow, and memory is full: after a moment the disk takes what comes. Behind an error
// packet, where reading never stops, it takes it at once.
func TestSpoolWhenMemoryIsFull(t *testing.T) {
	t.Parallel()
	const devices, queued = 500, 100_000
	tests := []struct {
		name    string
		another bool // session sends the rest
		start   func(t *testing.T, clock *movableClock, s *Session, p *recorder)
	}{
		{"full for a while", true, func(t *testing.T, clock *movableClock, s *Session, p *recorder) {
			n := 0
			for s.Push(note(deviceToken(goodDevice, n%devices), uint32(n+1), `{"aps":{"badge":10}}`)) {
				n++
			}
			if room := queued / 500; n > room {
				t.Errorf("%d were taken into memory", n)
			}

		}},
		{"behind a packet", false, func(t *testing.T, _ *movableClock, s *Session, p *recorder) {
			p.push(t, s, note(deviceToken(badDevice, 0), 1, hello))
			if fails, _ := p.wait(t); len(fails) != 1 {
				t.Fatalf("told %v", fails)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}})
			clock := new(movableClock)
			store := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
			c := spooled(store, SpoolOverflow, mailApp(t, sim))
			c.Now, c.Limits = clock.now, Limits{QueuedBytes: queued, Connections: 1, Streams: 10, SpoolAhead: 20_000}
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			tt.start(t, clock, session, p)
			if tt.another {
				first := session
				session, p = open(t, b, Origin{})
				defer first.Close(nil)
			}
			const count = 2000
			before := int(b.Stats().Apps["mail"].Taken - b.Stats().Apps["mail"].BadTokens)
			for i := range count {
				p.push(t, session, note(deviceToken(goodDevice, 1000+i), uint32(i+1000),
					fmt.Sprintf(`{"aps":{"badge":%d}}`, 100_000+i)))
				if got := b.Stats(); i%100 == 0 && got.QueuedBytes > 2*queued && got.Apps["mail"].BadTokens == 0 {
					t.Fatalf("%d bytes are in memory", got.QueuedBytes)
				}
			}
			until(t, "most are on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk > count-1000 })
			setScenario(t, sim, apnssim.Scenario{})
			session.Close(nil)
			delivered(t, b)
			if got := sim.Stats().Accepted; got != count+before {
				t.Errorf("%d accepted, want %d", got, count+before)
			}
			if err := store.Spool().Flush(within(t)); err != nil || len(store.Spool().Lines()) != 0 {
				t.Errorf("the spool has still something for %v, error %v", store.Spool().Lines(), err)
			}
		})
	}
}
