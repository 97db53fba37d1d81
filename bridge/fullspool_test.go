package bridge

import (
	"fmt"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// When the spool and memory are both full and APNs serves again, what is on disk
// goes out at once, and what had no room there behind it: nothing waits for the
// next attempt to write. One device may take all of so small a spool: what it may not
// take is given up.
func TestFullSpoolDrains(t *testing.T) {
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			clock := new(movableClock)
			s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 300_000, SpoolDevice: 300_000})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Now, c.Limits = clock.now, Limits{QueuedBytes: 400_000, SpoolAhead: 50_000}
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			count := fill(t, b, session, p)
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

// A device that was asked before all of its app waits has a small part of the spool. What
// has no room there waits like all else when the spool is full: nothing more is read,
// nothing is given up, and all comes in order when APNs serves again.
func TestFullPartOfADevice(t *testing.T) {
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			clock := new(movableClock)
			s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 100_000, SpoolDevice: 5_000})
			c := spooled(s, mode.mode, mailApp(t, sim))
			c.Now, c.Limits = clock.now, Limits{QueuedBytes: 200_000, SpoolAhead: 50_000}
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			const devices = 5 // whose failures close the door
			count := 0
			push := func() (room bool) {
				n := note(deviceToken(goodDevice, count%devices), uint32(count), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+count))
				count++
				return session.Push(n)
			}
			for range devices {
				push()
			}
			until(t, "the door is closed", isOpen(b, "mail"))
			until(t, "nothing more is read", func() bool {
				for push() {
				}
				select {
				case <-p.room:
					return false
				default:
					return b.Unspooled() != nil
				}
			})
			for len(p.room) > 0 {
				<-p.room
			}
			if st := b.Stats().Apps["mail"]; st.Crowded != 0 {
				t.Fatalf("%d are given up of %d", st.Crowded, count)
			}
			setScenario(t, sim, apnssim.Scenario{})
			clock.forward(time.Hour)
			session.Shutdown(false)
			delivered(t, b)
			session.Close(nil)
			checkOrder(t, sim, count)
			checkEmpty(t, b, s)
		})
	}
}

// An app whose APNs is away fills the spool. Another one goes on, and its
// providers are told of bad tokens.
func TestFullSpoolOfOneApp(t *testing.T) {
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			down, sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}}), startSim(t, apnssim.Scenario{})
			mail, chat := mailApp(t, down), mailApp(t, sim)
			chat.Name = "chat"
			s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 400_000})
			c := spooled(s, mode.mode, mail, chat)
			c.Limits = Limits{QueuedBytes: 400_000, SpoolAhead: 50_000}
			b := startBridge(t, c)
			session, p := open(t, b, Origin{})
			fill(t, b, session, p)
			other, peer := open(t, b, Origin{App: "chat"})
			pushInOrder(t, other, peer, 0, 20, 500)
			peer.push(t, other, note(deviceToken(badDevice, 0), 1000, hello))
			if fails, _ := peer.wait(t); len(fails) != 1 || fails[0].Identifier != 1000 {
				t.Errorf("told %v, want the bad token", fails)
			}
			checkOrder(t, sim, 500)
			until(t, "the spool is still full", func() bool { return b.Unspooled() != nil }) // but while one is tried
		})
	}
}

// fill pushes notifications until neither disk nor memory has room. It says how
// many.
func fill(t *testing.T, b *Bridge, s *Session, p *recorder) (count int) {
	t.Helper()
	push := func() (room bool) {
		n := note(deviceToken(goodDevice, count%70), uint32(count), hello)
		count++
		return s.Push(n)
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
		return b.Unspooled() != nil && !s.app.account.Plenty()
	})
	return count
}
