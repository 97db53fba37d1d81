package bridge

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// The bridge ends in the moment in which upstreams that were retired by reloads are closed.
func TestCloseBesideSpentUpstreams(t *testing.T) {
	t.Parallel()
	sim, clock := startSim(t, apnssim.Scenario{}), new(movableClock)
	app := mailApp(t, sim)
	b, err := newBridge(Config{Feedback: new(list), Apps: []App{app}, Now: clock.now}) // ticks only when told to
	if err != nil {
		t.Fatal(err)
	}
	b.run()
	for port := range 20 {
		app.Endpoint = fmt.Sprintf("https://127.0.0.1:%d", 1+port)
		if err := b.Reload([]App{app}); err != nil {
			t.Fatal(err)
		}
	}
	b.mu.Lock()
	retired := len(b.outlets)
	b.mu.Unlock()
	if retired < 20 {
		t.Fatalf("%d upstreams, want one for each reload", retired)
	}
	clock.forward(2 * spentFor)
	var ticking sync.WaitGroup
	ticking.Go(func() {
		until(t, "it is about to close", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.closed
		})
		b.closeSpent(b.now().Add(time.Second))
	})
	b.Close()
	ticking.Wait()
}
