package bridge

import (
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// When the spool and memory are both full and APNs serves again, what is on disk
// goes out at once, and what had no room there behind it: nothing waits for the
// next attempt to write.
func TestFullSpoolDrains(t *testing.T) {
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			clock := new(movableClock)
			s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 300_000})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Now, c.Limits = clock.now, Limits{QueuedBytes: 400_000, SpoolAhead: 50_000}
			b := startBridge(t, c)
			b.spool.delay = time.Hour
			session, p := open(t, b, Origin{})
			count := 0
			push := func() (room bool) {
				n := note(deviceToken(goodDevice, count%70), uint32(count), hello)
				count++
				return session.Push(n)
			}
			for push() {
			}
			until(t, "neither disk nor memory has room", func() bool {
				select {
				case <-p.room:
					for push() {
					}
				default:
				}
				return b.Unspooled() != nil && !session.app.account.plenty()
			})
			setScenario(t, sim, apnssim.Scenario{})
			clock.forward(2 * time.Hour)
			session.Shutdown(false)
			delivered(t, b)
			p.wait(t)
			session.Close(nil)
			if st := sim.Stats(); st.Accepted != count {
				t.Errorf("%d accepted of %d", st.Accepted, count)
			}
			checkEmpty(t, b, s)
		})
	}
}
