package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// What waits on disk is read as soon as APNs is back, even while providers go on as fast as
// they can. Without -long there is less of both, and so less is read at a time: it is as many
// turns.
func TestReplayUnderLoad(t *testing.T) {
	const sessions, devices = 8, 300
	waiting, enough, ahead := int64(10_000), 4_000, int64(3<<18)
	if *long {
		waiting, enough, ahead = 50_000, 20_000, 4<<20
	}
	most := 100 * waiting // how many come until the next probe, and meanwhile, depends on this machine
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Limits.SpoolAhead = ahead
			c.Limits.RetryDelayMax = 200 * time.Millisecond
			b := startBridge(t, c)
			var taken atomic.Int64
			var wg sync.WaitGroup
			for n := range sessions {
				session, p := open(t, b, Origin{})
				wg.Go(func() {
					defer session.Close(nil)
					for i := 0; taken.Load() < most && sim.Stats().Accepted < enough; i++ {
						p.push(t, session, note(deviceToken(goodDevice, n*devices+i%devices), uint32(i),
							fmt.Sprintf(`{"aps":{"badge":%d}}`, 1_000_000+i)))
						if taken.Add(1) == waiting {
							setScenario(t, sim, apnssim.Scenario{})
						}
					}
				})
			}
			wg.Wait()
			if got := sim.Stats().Accepted; got < enough {
				t.Errorf("%d were taken, and meanwhile only %d delivered", most, got)
			}
			t.Logf("%d taken", taken.Load())
			delivered(t, b)
			checkOrder(t, sim, int(taken.Load()))
			checkEmpty(t, b, s)
		})
	}
}

// However much waits, no more is read ahead than there is room for.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	dir := t.TempDir()
	s := openStore(t, dir, boltstore.Options{})
	b := startBridge(t, spooled(s, SpoolOverflow, mailApp(t, sim)))
	session, p := open(t, b, Origin{})
	const count, devices, ahead = 900, 300, 50_000
	pushInOrder(t, session, p, 0, devices, count)
	b.Close()
	if st := b.Stats(); st.Apps["mail"].Waiting.OnDisk != count {
		t.Logf("closed: %+v %+v", s.Spool().Stats(), st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, boltstore.Options{})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Limits.SpoolAhead = ahead
	b = startBridge(t, c)
	until(t, "some are read", func() bool { return b.Stats().Apps["mail"].Replayed > 0 })
	if got := gateOf(b, "mail").AheadBytes; got > ahead+notificationOverhead+100 {
		t.Errorf("%d bytes were read ahead, want %d and one notification at most", got, ahead)
	}
	setScenario(t, sim, apnssim.Scenario{})
	delivered(t, b)
	checkOrder(t, sim, count)
}
