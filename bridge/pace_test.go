package bridge

import (
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/pace"
)

// A client that is over its rate is not read until its time has come, on any of its connections;
// another client is.
func TestClientRate(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now,
		Limits: Limits{ClientRate: pace.Rate{Count: 100, Per: time.Hour}}})
	session, p := open(t, b, Origin{Client: "busy"})
	second, _ := open(t, b, Origin{Client: "busy"})
	other, _ := open(t, b, Origin{Client: "other"})
	push := func(s *Session, number int) bool {
		return s.Push(note(deviceToken(goodDevice, number), uint32(number), hello))
	}
	for i := range 99 {
		if !push(session, i) {
			t.Fatalf("no room behind number %d", i)
		}
	}
	if push(session, 99) || push(second, 100) {
		t.Error("room over the rate")
	}
	if !push(other, 101) {
		t.Error("no room for another client")
	}
	if got := b.Stats().Apps["mail"].OverRate; got != 2 {
		t.Errorf("%d were over the rate, want 2", got)
	}
	clock.forward(30 * time.Minute)
	select {
	case <-p.room:
	case <-within(t).Done():
		t.Fatal("no room came")
	}
}
