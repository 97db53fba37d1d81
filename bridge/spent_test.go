package bridge

import (
	"fmt"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
)

// Each reload that changes the credential leaves a pool behind, which is closed once nothing
// can be using it. Its figures stay.
func TestReloadsLeaveNoPools(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	app := mailApp(t, sim)
	b := startBridge(t, Config{Apps: []App{app}, Now: clock.now})
	session, p := open(t, b, Origin{})
	const reloads = 5
	for i := range reloads {
		pushMany(t, session, p, 10*i, 10)
		delivered(t, b)
		another, err := upstream.NewTokenCredential(pki().TokenKey, fmt.Sprintf("KEY000000%d", i), "DEF123GHIJ")
		if err != nil {
			t.Fatal(err)
		}
		app.Credentials = forAll(another)
		if err := b.Reload([]App{app}); err != nil {
			t.Fatal(err)
		}
	}
	pools := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.outlets)
	}
	if n := pools(); n < 2 {
		t.Fatalf("%d pools, want those that were left", n)
	}
	until(t, "one is left", func() bool {
		clock.forward(spentFor)
		return pools() == 1
	})
	pushMany(t, session, p, 100, 10)
	session.Close(nil)
	delivered(t, b)
	if got := b.Stats().Apps["mail"].Accepted; got != 10*reloads+10 {
		t.Errorf("%d accepted, want %d", got, 10*reloads+10)
	}
	until(t, "all are counted as answered", func() bool { // behind the verdict
		return b.Stats().Apps["mail"].Pool.Answered == 10*reloads+10
	})
}
