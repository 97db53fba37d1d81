package bridge

import (
	"testing"

	"apnsbridge/bridge/apnssim"
)

// Each connection keeps its latest notification. Those of many silent connections do not keep
// others from being read.
func TestManySilentConnections(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now, Limits: Limits{QueuedBytes: 200_000}})
	const count = 400
	for i := range count {
		s, _ := open(t, b, Origin{})
		s.Push(note(deviceToken(goodDevice, i), uint32(i), hello))
	}
	until(t, "all have their verdicts", func() bool { return b.Stats().Unsettled == 0 })
	clock.forward(spareInterval)
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, count, 1000)
	delivered(t, b)
	if got := sim.Stats().Accepted; got != count+1000 {
		t.Errorf("%d accepted, want %d", got, count+1000)
	}
}
