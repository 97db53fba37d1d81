package bridge

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// slowCarrier is a carrier whose Send takes long.
type slowCarrier struct {
	carrier
	entered, goOn chan struct{}
}

func (c *slowCarrier) Send(p *upstream.Push) {
	close(c.entered)
	<-c.goOn
	c.carrier.Send(p)
}

// heldCarrier is a carrier that passes on nothing until it is let go.
type heldCarrier struct {
	carrier
	mu     sync.Mutex
	gone   bool
	pushes []*upstream.Push
}

// hold holds all that b hands to APNs' production for the app mail.
func hold(b *Bridge) *heldCarrier {
	way := b.apps["mail"].route.Load().ways[Production][0]
	h := &heldCarrier{carrier: way.carrier}
	way.carrier = h
	return h
}

func (c *heldCarrier) Send(p *upstream.Push) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		c.carrier.Send(p)
		return
	}
	c.pushes = append(c.pushes, p)
}

func (c *heldCarrier) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for _, p := range c.pushes {
		c.carrier.Send(p)
	}
}

// What is just being handed to an upstream while the bridge is closed comes back, and is
// the lane's until then: it is counted, or on disk, and closing once more meets nothing.
func TestClosedWhileSending(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			b := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			session, _ := open(t, b, Origin{})
			way := b.apps["mail"].route.Load().ways[Production][0]
			slow := &slowCarrier{way.carrier, make(chan struct{}), make(chan struct{})}
			way.carrier = slow
			go session.Push(note(deviceToken(goodDevice, 1), 1, hello))
			<-slow.entered
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				b.Close()
			}()
			until(t, "upstreams are closed, and the lanes come to their end", func() bool { return b.writing.Err() != nil })
			close(slow.goOn)
			<-closed
			b.Close()
			st := b.Stats()
			if app := st.Apps["mail"]; st.Unsettled != 0 || int(app.Abandoned)+app.Waiting.OnDisk != 1 || app.Accepted != 0 {
				t.Errorf("%d unsettled, %d abandoned, %d on disk, %d accepted",
					st.Unsettled, app.Abandoned, app.Waiting.OnDisk, app.Accepted)
			}
		})
	}
}

// seeming is a context whose deadline seems near, but which does not end.
type seeming struct {
	context.Context
	end time.Time
}

func (s seeming) Deadline() (time.Time, bool) { return s.end, true }

// While a bridge is shut down, what APNs was asked about gets its verdict, and what waits
// behind it goes to disk: the next bridge delivers that, and nothing twice.
func TestShutdownLeavesNothingAsked(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 100, Jitter: 100}})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			first := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			session, p := open(t, first, Origin{})
			const count, devices = 180, 3 // one at a time of each: for nine seconds at least
			pushInOrder(t, session, p, 0, devices, count)
			session.Close(nil)
			if err := first.Shutdown(seeming{within(t), time.Now().Add(1500 * time.Millisecond)}); err != nil {
				t.Error(err)
			}
			if left := first.Stats().Apps["mail"].Waiting; left.Notifications == 0 || left.OnDisk != left.Notifications {
				t.Errorf("%d are left, of them %d on disk; want some, and all there", left.Notifications, left.OnDisk)
			}
			first.Close()
			sim.SetScenario(apnssim.Scenario{})
			second := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			delivered(t, second)
			if got := sim.Received(0); len(got.Pushes) != count || got.Duplicates != 0 {
				t.Errorf("%d pushes, %d of them again; want %d", len(got.Pushes), got.Duplicates, count)
			}
		})
	}
}

// A session that begins when Shutdown has returned, of a connection whose handshake was under
// way, ends like the others: its provider never pauses, and is told when half of the time is over.
func TestSessionBegunDuringShutdown(t *testing.T) {
	t.Parallel()
	const drain = time.Minute
	start := time.Now()
	var passed atomic.Int64
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)},
		Now: func() time.Time { return start.Add(time.Duration(passed.Load())) }})
	if err := b.Shutdown(seeming{within(t), time.Now().Add(drain)}); err != nil {
		t.Fatal(err)
	}
	session, p := open(t, b, Origin{})
	sent := 0
	until(t, "the provider is told", func() bool {
		p.push(t, session, note(deviceToken(goodDevice, sent), uint32(sent), hello))
		sent++
		passed.Add(int64(settleIn / 2))
		fails, closes := p.told()
		return len(fails)+closes > 0
	})
	if fails, _ := p.told(); len(fails) != 1 || fails[0].Status != binproto.Shutdown {
		t.Errorf("told %v, want status 10", fails)
	}
	if got := time.Duration(passed.Load()); got < drain/2-drain/4 {
		t.Errorf("told after %v of %v, without a pause in writing", got, drain)
	}
}

// What comes when Shutdown has returned goes to disk once the time to ask APNs is over:
// there would be no one left to hear the answers.
func TestShutdownAsksNoMoreBehindIt(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			const drain = 4 * time.Minute
			start := time.Now()
			var passed atomic.Int64
			sim := startSim(t, apnssim.Scenario{})
			config := spooled(openStore(t, t.TempDir(), boltstore.Options{}), mode.mode, mailApp(t, sim))
			config.Now = func() time.Time { return start.Add(time.Duration(passed.Load())) }
			b := startBridge(t, config)
			if err := b.Shutdown(seeming{within(t), time.Now().Add(drain)}); err != nil {
				t.Fatal(err)
			}
			session, p := open(t, b, Origin{})
			p.push(t, session, note(deviceToken(goodDevice, 0), 0, hello))
			delivered(t, b)
			passed.Add(int64(drain - time.Second))
			sent := 1
			until(t, "what comes stays on disk", func() bool {
				p.push(t, session, note(deviceToken(goodDevice, sent), uint32(sent), hello))
				sent++
				return b.Stats().Apps["mail"].Waiting.OnDisk > 0
			})
			session.Close(nil)
			if err := b.Shutdown(within(t)); err != nil {
				t.Fatal(err)
			}
			if accepted, waits := sim.Stats().Accepted, b.Stats().Apps["mail"].Waiting.OnDisk; accepted+waits != sent {
				t.Errorf("APNs accepted %d, %d are on disk, of %d", accepted, waits, sent)
			}
		})
	}
}

// Without a deadline, everything that waits is delivered.
func TestShutdownWithoutAnEnd(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 50}})
	b := startBridge(t, spooled(openStore(t, t.TempDir(), boltstore.Options{}), SpoolOverflow, mailApp(t, sim)))
	session, p := open(t, b, Origin{})
	const count = 20
	pushInOrder(t, session, p, 0, 2, count)
	session.Close(nil)
	if err := b.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if got := b.Stats().Apps["mail"]; got.Accepted != count || got.Waiting.Notifications != 0 {
		t.Errorf("%d are accepted, and %d wait; want %d and none", got.Accepted, got.Waiting.Notifications, count)
	}
}

// Even if APNs takes longer to answer than the last quarter of the time, what it was asked
// about gets its verdict.
func TestShutdownLeavesNothingAskedOfASlowAPNs(t *testing.T) {
	t.Parallel()
	const drain, slow = 12 * time.Second, 4200 * time.Millisecond
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			const count = 20
			asked, answer := make(chan struct{}, count), make(chan struct{})
			sim.OnAccepted(func(apnssim.Push) { // before the answer
				asked <- struct{}{}
				<-answer
			})
			clock := stopped()
			s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Now = clock.now
			first := startBridge(t, c)
			session, p := open(t, first, Origin{})
			pushInOrder(t, session, p, 0, 1, count) // one at a time
			session.Close(nil)
			<-asked
			over := make(chan error, 1)
			go func() { over <- first.Shutdown(seeming{within(t), time.Now().Add(drain)}) }()
			until(t, "the end has begun", func() bool { return endOf(first) != nil })
			clock.forward(slow)
			answer <- struct{}{}
			until(t, "APNs is asked about nothing more", func() bool { return endOf(first).decided.Load() })
			clock.forward(slow)
			close(answer)
			if err := <-over; err != nil {
				t.Error(err)
			}
			first.Close()
			if got := sim.Stats().Received; got > 2 { // the second may be on its way by then
				t.Errorf("APNs was asked about %d, want 2 at most", got)
			}
			sim.OnAccepted(func(apnssim.Push) {})
			second := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			delivered(t, second)
			if got := sim.Received(0); len(got.Pushes) != count || got.Duplicates != 0 {
				t.Errorf("%d pushes, %d of them again; want %d", len(got.Pushes), got.Duplicates, count)
			}
		})
	}
}

// endOf is what b's Shutdown has decided; nil before there is one.
func endOf(b *Bridge) *ending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ending
}

// Without a disk, what the end abandons behind a status 10 is delivered if its provider sends it
// again, and what APNs was asked about is not delivered twice.
func TestAbandonedIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		scenario   apnssim.Scenario
		released   bool // the bridge answers for all that is pushed
		before     int  // pushed before the end; those in front of the packet's are lost
		lost       int
		identifier uint32
	}{
		{"queued for APNs", apnssim.Scenario{Latency: apnssim.Latency{Fixed: 3_600_000}, MaxConcurrentStreams: 10}, false, 40, 0, 0},
		{"APNs is away", apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}, true, 5, 5, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const all = 50
			sim := startSim(t, tt.scenario)
			s := openStore(t, t.TempDir(), boltstore.Options{})
			first := startBridge(t, spooled(s, SpoolOff, mailApp(t, sim)))
			session, p := open(t, first, Origin{})
			push := func(from, to int) {
				for i := from; i < to; i++ {
					p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
				}
				until(t, "APNs is asked, or cannot be", func() bool {
					session.client.mu.Lock()
					defer session.client.mu.Unlock()
					return !tt.released && sim.Stats().Streams >= 10 || session.talk.Len() == 0
				})
			}
			push(0, tt.before)
			session.End()
			if fails, _ := p.wait(t); len(fails) != 1 || fails[0] != (binproto.Response{Status: binproto.Shutdown, Identifier: tt.identifier}) {
				t.Fatalf("told %v, want status 10 and %d", fails, tt.identifier)
			}
			push(tt.before, all)
			first.Close()
			if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
				t.Fatal(err)
			}
			second := startBridge(t, spooled(s, SpoolOff, mailApp(t, sim)))
			session, p = open(t, second, Origin{})
			for i := int(tt.identifier) + 1; i < all; i++ {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
			}
			delivered(t, second)
			if got := sim.Stats(); got.Accepted != all-tt.lost || got.Duplicates != 0 {
				t.Errorf("APNs accepted %d, %d of them again; want %d", got.Accepted, got.Duplicates, all-tt.lost)
			}
		})
	}
}
