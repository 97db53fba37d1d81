package bridge

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// addsUp checks that each notification that was taken is counted once, by its outcome or as
// waiting. b must have taken over nothing from an earlier run.
func addsUp(t *testing.T, b *Bridge) {
	t.Helper()
	var st AppStats
	var counted uint64
	end := time.Now().Add(patience)
	for { // what is being written counts twice for a moment
		st = b.Stats().Apps["mail"]
		c := st.Conversation
		swallowed := c.SwallowedSame + c.SwallowedOther + c.SwallowedReset + st.Known
		counted = st.Accepted + st.BadTokens + st.BadTokensCached + st.Refused + st.Unregistered + st.Unknown + swallowed +
			st.Expired + st.Dropped + st.Crowded + st.Unreadable + st.Abandoned + uint64(st.Waiting.Notifications)
		if counted == st.Taken {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%d taken, %d counted: %+v", st.Taken, counted, st)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Whatever APNs answers, the number taken is the sum of those accepted, refused by reason,
// swallowed, expired, given up and waiting.
func TestFiguresAddUp(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{
				{Prefix: "c0", Reason: apnssim.TooManyRequests}, {Prefix: "c1", Reason: apnssim.InternalServerError},
				{Prefix: "c2", Reason: apnssim.BadDeviceToken}, {Prefix: "c3", Reason: apnssim.Unregistered},
				{Prefix: "c4", Reason: apnssim.PayloadTooLarge}, {Prefix: "c5", Status: 418, Reason: "Teapot"},
				{Prefix: "c6", Reason: apnssim.BadPriority},
			}})
			clock := new(movableClock)
			s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
			app := mailApp(t, sim)
			app.OnBadToken = Continue
			c := spooled(s, mode.mode, app)
			c.Now = clock.now
			b := startBridge(t, c)
			for round := range 4 {
				session, p := open(t, b, Origin{Client: fmt.Sprint(round)})
				for i := range 200 {
					n := note(deviceToken([]byte{0xc0 + byte(i%9), 0}, round*7+i%14), uint32(i),
						fmt.Sprintf(`{"aps":{"badge":%d}}`, round*1000+i))
					if i%10 == 0 {
						n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+20), true
					}
					p.push(t, session, n)
				}
				addsUp(t, b)
				session.Close(nil)
				clock.forward(15 * time.Second)
				addsUp(t, b)
			}
			setScenario(t, sim, apnssim.Scenario{})
			clock.forward(24 * time.Hour)
			until(t, "nothing waits", func() bool {
				clock.forward(time.Minute)
				return b.Stats().Apps["mail"].Waiting.Notifications == 0
			})
			addsUp(t, b)
		})
	}
}

// An app that is taken out of the configuration and put back, again and again, gets all of its
// memory back, whatever its connections were in the middle of.
func TestAppTakenOutAndPutBack(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			app := mailApp(t, sim)
			b := startBridge(t, spooled(s, mode.mode, app))
			for round := range 3 {
				session, p := open(t, b, Origin{Client: "c"})
				session.Push(note(deviceToken(badDevice, round), 0, hello))
				p.wait(t)
				for i := range 100 { // behind its packet
					session.Push(note(deviceToken(goodDevice, round*1000+i), uint32(i+1), hello))
				}
				if err := b.Reload(nil); err != nil {
					t.Fatal(err)
				}
				session.Push(note(deviceToken([]byte{0xbb}, round), 500, hello)) // of an app that is out
				if err := b.Reload([]App{app}); err != nil {
					t.Fatal(err)
				}
				session.Shutdown(true)
				session.Close(nil)
				session, p = open(t, b, Origin{Client: "d"})
				pushMany(t, session, p, round*5000, 3000)
				session.Close(nil)
				delivered(t, b)
				addsUp(t, b)
			}
			until(t, "all memory is given back", func() bool { return b.Stats().QueuedBytes < 1<<20 })
		})
	}
}

// meanwhile is a spool to which everything is written between two figures: the first Stats
// reads, lets the writes go, and returns when they are done.
type meanwhile struct {
	Spool
	write   chan struct{}
	written func() bool
	first   sync.Once
}

func (m *meanwhile) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	<-m.write
	return m.Spool.Put(ctx, batches...)
}

func (m *meanwhile) Stats() store.SpoolStats {
	st := m.Spool.Stats()
	m.first.Do(func() {
		close(m.write)
		for !m.written() {
			time.Sleep(time.Millisecond)
		}
	})
	return st
}

// Who asks while something is written is not told that less waits than does: a machine is
// taken away when it is told that nothing waits.
func TestNeverFewerWait(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			c := spooled(s, mode.mode, mailApp(t, sim))
			spool := &meanwhile{Spool: s.Spool(), write: make(chan struct{})}
			c.Spool = spool
			b := startBridge(t, c)
			spool.written = func() bool {
				l := b.appOf("mail").lanes[Production]
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.core.Stats().Unstored == 0
			}
			const count = 100
			session, p := open(t, b, Origin{})
			pushMany(t, session, p, 0, count)
			if got := b.Stats().Apps["mail"].Waiting.Notifications; got < count {
				t.Errorf("%d wait, want all %d", got, count)
			}
		})
	}
}
