package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// roomComes waits for a session to have room again, and reports whether it has. It has none
// where disk is full, or is not used, and nothing comes for a while.
func roomComes(t *testing.T, b *Bridge, p *recorder, mode SpoolMode) bool {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late, full := time.After(4*patience), 0
	for full < 20 {
		select {
		case <-p.room:
			return true
		case <-late:
			t.Fatalf("neither has it room, nor is disk full: %v", b.Unspooled())
		case <-tick.C:
		}
		if mode == SpoolOff || errors.Is(b.Unspooled(), store.ErrSpoolFull) {
			full++
		} else {
			full = 0
		}
	}
	return false
}

// A provider goes on writing behind its error packet while neither APNs nor the disk takes
// anything: it is stopped before memory exceeds its bound.
func TestMemoryBehindAPacket(t *testing.T) {
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 2 << 20, SpoolReserve: 1 << 20})
			c := spooled(s, mode.mode, mailApp(t, sim))
			const bound = 8 << 20
			c.Limits.QueuedBytes = bound
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			session.Push(note(deviceToken(badDevice, 1), 0, hello))
			p.wait(t)
			setScenario(t, sim, apnssim.Scenario{Outage: &apnssim.Outage{}})
			payload := fmt.Sprintf(`{"aps":{"alert":"%s"}}`, strings.Repeat("x", 2000))
			before, pushed, stopped := heapInUse(), 0, false
			for ; pushed < 40_000 && !stopped; pushed++ { // 100 MB
				if session.Push(note(deviceToken(goodDevice, pushed), uint32(pushed+1), payload)) {
					continue
				}
				stopped = !roomComes(t, b, p, mode.mode)
			}
			if !stopped {
				t.Errorf("%d were taken, and it may read on", pushed)
			}
			if used, grown := b.Stats().QueuedBytes, heapInUse()-before; used > bound*3/2 || grown > 4*bound {
				t.Errorf("%d bytes are queued, the heap has grown by %d, want %d", used, grown, bound)
			}
		})
	}
}
