package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// When the spool and memory are both full and APNs serves again, what is on disk goes out at
// once, and then what had no room there: nothing waits for the next attempt to write. So
// small a spool lets one device take all of it: otherwise notifications would be given up.
func TestFullSpoolDrains(t *testing.T) {
	t.Parallel()
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

// A spool that took nothing is no longer reported to be full once nothing waits to be written,
// because everything went to APNs from memory.
func TestFullSpoolIsToldNoLonger(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	clock := new(movableClock)
	s := openStore(t, t.TempDir(), boltstore.Options{SpoolBytes: 1000})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Now = clock.now
	b := startBridge(t, c)
	session, p := open(t, b, Origin{})
	for i := range 500 {
		p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
	}
	until(t, "the spool is full", func() bool { return b.Unspooled() != nil })
	setScenario(t, sim, apnssim.Scenario{})
	until(t, "all are accepted", func() bool {
		clock.forward(time.Second)
		return b.Stats().Apps["mail"].Accepted == 500
	})
	until(t, "it is told no longer", func() bool {
		clock.forward(time.Second)
		return b.Unspooled() == nil
	})
	session.Close(nil)
}

// A device that was asked about before its whole app had to wait may take a small part of the
// spool. What has no room there waits like everything else when the spool is full: nothing more
// is read, nothing is given up, and all arrives in order when APNs serves again.
func TestFullPartOfADevice(t *testing.T) {
	t.Parallel()
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

// An app whose APNs is away fills the spool. Another app goes on, and its providers are told
// of bad tokens.
func TestFullSpoolOfOneApp(t *testing.T) {
	t.Parallel()
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
			// What comes while others of its app are in the spool goes there too, and its provider
			// is not told.
			until(t, "none of the other app's waits", func() bool { return b.Stats().Apps["chat"].Waiting.Notifications == 0 })
			peer.push(t, other, note(deviceToken(badDevice, 0), 1000, hello))
			if fails, _ := peer.wait(t); len(fails) != 1 || fails[0].Identifier != 1000 {
				t.Errorf("told %v, want the bad token", fails)
			}
			checkOrder(t, sim, 500)
			until(t, "the spool is still full", func() bool { return b.Unspooled() != nil }) // but while one is tried
		})
	}
}

// brokenSpool is a spool that cannot be written.
type brokenSpool struct{ Spool }

func (brokenSpool) Put(context.Context, ...store.SpoolBatch) error {
	return errors.New("the disk is broken")
}

// A packet waits until what came before it is on disk, or need not go there any more. A
// notification that is refused before it could be written does not hold up its own packet.
func TestPacketAboutWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	c := spooled(openStore(t, t.TempDir(), boltstore.Options{}), SpoolOverflow, mailApp(t, sim))
	c.Spool, c.Limits = brokenSpool{c.Spool}, Limits{QueuedBytes: 4000}
	b := startBridge(t, c)
	session, p := open(t, b, Origin{})
	large := fmt.Sprintf(`{"aps":{"alert":%q}}`, strings.Repeat("x", 3000)) // more than goes straight
	session.Push(note(deviceToken(badDevice, 0), 1, large))
	if fails, _ := p.wait(t); len(fails) != 1 || fails[0].Identifier != 1 {
		t.Errorf("told %v, want the bad token", fails)
	}
	if b.Unspooled() == nil {
		t.Error("it was not to be written")
	}
}

// fill pushes notifications until neither disk nor memory has room. It gives how many those
// were.
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
