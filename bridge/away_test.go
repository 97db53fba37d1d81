package bridge

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// heapInUse is how many bytes of the heap are in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// APNs is away for ten minutes, in which a million notifications come in (fewer without
// -long). They take disk and not memory. Then each is delivered, in order for its device,
// except those that have expired, which are counted.
func TestTenMinutesAway(t *testing.T) {
	count := 20_000
	if *long {
		count = 1_000_000
	}
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	clock := new(movableClock)
	s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Now, c.Limits.QueuedBytes = clock.now, 8<<20
	b := startBridge(t, c)
	before := heapInUse()
	const sessions, minutes, devices = 8, 10, 500
	each := count / sessions / minutes
	var most int64
	expiring := 0
	for minute := range minutes {
		var wg sync.WaitGroup
		for n := range sessions {
			session, p := open(t, b, Origin{})
			wg.Go(func() {
				for i := range each {
					notification := note(deviceToken(goodDevice, n*devices+i%devices), uint32(i),
						fmt.Sprintf(`{"aps":{"badge":%d}}`, 10_000_000+minute*each+i))
					if i%10 == 9 {
						notification.Expiry, notification.HasExpiry = uint32(clock.now().Unix()+30), true
					}
					p.push(t, session, notification)
				}
				session.Close(nil)
			})
			expiring += each / 10
		}
		wg.Wait()
		most = max(most, b.Stats().QueuedBytes)
		clock.forward(time.Minute)
	}
	until(t, "all are on disk", func() bool { return gateOf(b, "mail").Unwritten == 0 })
	grown := heapInUse() - before
	st := b.Stats()
	if limit := st.Limits.QueuedBytes; most > limit+sessions<<10 || grown > 2*limit {
		t.Errorf("%d bytes were queued at most, and the heap has grown by %d; queued_bytes is %d", most, grown, limit)
	}
	t.Logf("%d on disk in %d bytes, %d bytes queued at most, heap grown by %d",
		s.Spool().Waiting(mailLine), s.Spool().Stats().Bytes, most, grown)

	setScenario(t, sim, apnssim.Scenario{})
	clock.forward(2 * time.Minute) // the longest wait of a door
	until(t, "all are delivered", func() bool {
		st := b.Stats()
		return st.Unsettled == 0 && st.Apps["mail"].Waiting.Notifications == 0
	})
	total := sessions * minutes * each
	checkOrder(t, sim, total-expiring)
	if got := b.Stats().Apps["mail"]; got.Expired != uint64(expiring) || got.Dropped != 0 || got.Taken != uint64(total) {
		t.Errorf("of %d taken %d have expired and %d were given up, want %d, %d and 0",
			got.Taken, got.Expired, got.Dropped, total, expiring)
	}
	checkEmpty(t, b, s)
}
