package bridge

import (
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// An app on hold does not stop its providers: any number of notifications goes to disk, and in
// order to APNs when the hold is over.
func TestSpoolTakesAHold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		reason apnssim.Reason
		lost   int // to the feedback list, before the hold begins, which withdraws them
		end    func(t *testing.T, b *Bridge, app App, clock *movableClock)
	}{
		{"for its credential", apnssim.InvalidProviderToken, 0, func(t *testing.T, b *Bridge, app App, _ *movableClock) {
			other, err := upstream.NewTokenCredential(pki().TokenKey, "XYZ123DEFG", "DEF123GHIJ")
			if err != nil {
				t.Fatal(err)
			}
			app.Credentials = forAll(other)
			if err := b.Reload([]App{app}); err != nil {
				t.Fatal(err)
			}
		}},
		{"for its device tokens", apnssim.BadDeviceToken, lane.GuardTokens - 1, func(_ *testing.T, _ *Bridge, _ App, clock *movableClock) {
			clock.forward(heldPeriod)
		}},
	}
	for _, tt := range tests {
		for _, mode := range spoolModes {
			t.Run(tt.name+", "+mode.name, func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: tt.reason}}})
				clock := new(movableClock)
				s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
				app := mailApp(t, sim)
				app.OnBadToken = Continue
				c := spooled(s, mode.mode, app)
				c.Now, c.Limits = clock.now, Limits{Window: 60, SpoolAhead: 100_000}
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count, devices = 2000, 300
				pushInOrder(t, session, p, 0, devices, count)
				until(t, "all but a few are on disk only", func() bool {
					st := b.Stats()
					return st.Unsettled <= 300 && st.Apps["mail"].Waiting.OnDisk >= count-tt.lost-300
				})
				asked := sim.Stats().Received
				setScenario(t, sim, apnssim.Scenario{})
				tt.end(t, b, app, clock)
				session.Close(nil)
				delivered(t, b)
				if asked > 2*devices {
					t.Errorf("APNs was asked %d times on hold", asked)
				}
				checkOrder(t, sim, count-tt.lost)
				pending, err := s.Feedback().Pending(t.Context(), "mail", 0, 1000)
				if err != nil || len(pending) != 0 {
					t.Errorf("the feedback list has %d entries, error %v", len(pending), err)
				}
				checkEmpty(t, b, s)
			})
		}
	}
}
