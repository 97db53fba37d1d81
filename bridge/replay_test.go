package bridge

import (
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// However much waits, no more is read ahead than there is room for.
func TestReadAhead(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	dir := t.TempDir()
	s := openStore(t, dir, boltstore.Options{})
	b := startBridge(t, spooled(s, SpoolOverflow, mailApp(t, sim)))
	session, p := open(t, b, Origin{})
	const count, devices, ahead = 900, 300, 50_000
	pushInOrder(t, session, p, 0, devices, count)
	b.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, boltstore.Options{})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Limits.SpoolAhead = ahead
	b = startBridge(t, c)
	until(t, "some are read", func() bool { return b.Stats().Apps["mail"].Replayed > 0 })
	if got := b.Stats().Apps["mail"].Spool.AheadBytes; got > ahead {
		t.Errorf("%d bytes were read ahead, want %d at most", got, ahead)
	}
	setScenario(t, sim, apnssim.Scenario{})
	delivered(t, b)
	checkOrder(t, sim, count)
}
