package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
)

// What the operator puts right at Apple, which connections that were refused never
// learn, or here: the next probe finds it out, and all goes, without a restart.
func TestPutRight(t *testing.T) {
	t.Parallel()
	key := apnssim.Key{KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ", PEM: string(pki().TokenKey)}
	other := key
	other.KeyID = "XYZ123DEFG"
	scoped := key
	scoped.Topics = []string{"com.example.other"}
	well := apnssim.Scenario{Keys: []apnssim.Key{key}, Topics: []string{topic}, Bind: true}
	reload := func(c func(*testing.T) *upstream.Credential) func(*ordeal) {
		return func(o *ordeal) {
			o.app.Credentials = forAll(c(o.t))
			if err := o.Reload([]App{o.app}); err != nil {
				o.t.Fatal(err)
			}
		}
	}
	atApple := func(o *ordeal) { setScenario(o.t, o.sim, well) }
	for _, tt := range []struct {
		name   string
		before apnssim.Scenario
		right  func(*ordeal)
		probes uint64
	}{
		{"a topic is added to the team", apnssim.Scenario{Topics: []string{"com.example.other"}, Bind: true}, atApple, 1},
		{"a topic is added to the key", apnssim.Scenario{Keys: []apnssim.Key{scoped}, Bind: true}, atApple, 1},
		{"the key is made known", apnssim.Scenario{Keys: []apnssim.Key{other}, Bind: true}, atApple, 1},
		{"the clock of APNs is right again", apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.ExpiredProviderToken}}}, atApple, 1},
		{"the key is exchanged", apnssim.Scenario{Keys: []apnssim.Key{other}, Bind: true}, reload(func(t *testing.T) *upstream.Credential {
			c, err := upstream.NewTokenCredential(pki().TokenKey, other.KeyID, other.TeamID)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}), 1},
		{"a certificate is shown instead", apnssim.Scenario{Keys: []apnssim.Key{other}, Bind: true}, reload(certificateCredential), 1},
		{"the certificate is renewed", apnssim.Scenario{GoAway: &apnssim.GoAway{Cause: apnssim.BadCertificate}}, func(o *ordeal) {
			setScenario(o.t, o.sim, apnssim.Scenario{})
			reload(certificateCredential)(o)
		}, 1},
	} {
		for _, mode := range allModes {
			t.Run(tt.name+", "+mode.name, func(t *testing.T) {
				t.Parallel()
				o := startOrdeal(t, mode.mode, tt.before)
				o.push(60)
				o.pass(10*time.Minute, nil)
				st := o.stats()
				if st.Accepted != 0 || st.Waiting.Notifications != 60 || o.Problems()["mail"] == "" {
					t.Fatalf("before: %+v, problem %q", st, o.Problems()["mail"])
				}
				probes := st.Lanes.Production.Probes
				tt.right(o)
				if !o.pass(time.Minute+maxFreshWait, func() bool { return o.Stats().Unsettled == 0 && o.stats().Waiting.Notifications == 0 }) {
					t.Errorf("%d wait", o.stats().Waiting.Notifications)
				}
				st = o.stats()
				if got := st.Lanes.Production.Probes - probes; got > tt.probes {
					t.Errorf("it took %d probes, want %d", got, tt.probes)
				}
				if st.Accepted != 60 || o.sim.Stats().Duplicates != 0 || o.Problems()["mail"] != "" {
					t.Errorf("%d accepted, %d doubled, problem %q", st.Accepted, o.sim.Stats().Duplicates, o.Problems()["mail"])
				}
			})
		}
	}
}

// maxFreshWait is how long a probe may have to wait for its connection, if none of those
// opened for earlier probes was of use.
const maxFreshWait = 30 * time.Second

// A notification that gets 400 with an unknown reason waits on its own account, and is tried
// ten times in a day with growing waits. Then it is given up and counted, and neither its
// provider nor the feedback list hears of it. Others go on.
func TestUnknownWordsForADay(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, reason := range []apnssim.Reason{"SomethingNew", apnssim.DuplicateHeaders} {
			t.Run(fmt.Sprint(reason, ", ", mode.name), func(t *testing.T) {
				t.Parallel()
				o := startOrdeal(t, mode.mode, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "cc", Status: 400,
					Reason: reason}}})
				o.give(note(deviceToken([]byte{0xcc}, 1), 7, hello))
				var waits []time.Duration
				last := o.clock.now()
				for tries := 1; ; tries++ {
					if !o.pass(11*time.Hour, func() bool { return o.sim.Stats().Rejected == tries }) {
						break
					}
					now := o.clock.now()
					waits = append(waits, now.Sub(last).Round(time.Minute))
					last = now
					o.push(5)
					o.settle()
				}
				want := []time.Duration{0, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
					2 * time.Hour,
					4 * time.Hour, 6 * time.Hour, 10 * time.Hour}
				if !slices.Equal(waits, want) {
					t.Errorf("it was tried after %v, want %v", waits, want)
				}
				st := o.stats()
				if st.Dropped != 1 || st.Accepted != uint64(o.pushed) || st.Waiting.Notifications != 0 || st.Feedback != 0 {
					t.Errorf("%d given up, %d of %d others accepted, %d wait, %d on the list", st.Dropped, st.Accepted, o.pushed,
						st.Waiting.Notifications, st.Feedback)
				}
				o.session.Shutdown(false)
				if fails, closes := o.peer.wait(t); len(fails) != 0 || closes != 1 {
					t.Errorf("told %v, closed %d; want silence", fails, closes)
				}
			})
		}
	}
}

// APNs ends connections with too many errors, and 30 % of the tokens are bad: the good
// ones arrive, connections come a second apart, and no door is ever closed.
func TestManyBadTokens(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			o := startOrdeal(t, mode.mode, apnssim.Scenario{ErrorLimit: &apnssim.ErrorLimit{Errors: 20, BadTokens: 20}})
			const count = 1000
			bad, begin := 0, o.clock.now()
			for i := range count {
				prefix := []byte{0xa0}
				if i%10 < 3 {
					prefix, bad = []byte{0xba, 0xd0}, bad+1
				}
				n := note(deviceToken(prefix, i), 0, hello)
				n.HasIdentifier = false
				o.give(n)
			}
			done := o.pass(time.Hour, func() bool {
				if told := o.Problems()["mail"]; strings.Contains(told, "connections end") {
					t.Errorf("the problem is %q", told)
				}
				return o.Stats().Unsettled == 0 && o.stats().Waiting.Notifications == 0
			})
			st, took := o.stats(), o.clock.now().Sub(begin)
			if !done || st.Accepted != uint64(count-bad) || st.BadTokens != uint64(bad) || st.Dropped != 0 || o.sim.Stats().Duplicates != 0 {
				t.Errorf("%d of %d good ones accepted, %d of %d refused, %d dropped, %d doubled", st.Accepted, count-bad,
					st.BadTokens, bad, st.Dropped, o.sim.Stats().Duplicates)
			}
			if got := o.sim.Stats().Connections; got < 5 || got > int(took/time.Second)+2 {
				t.Errorf("%d connections in %v", got, took)
			}
			if lane := st.Lanes.Production; lane.Probes != 0 || lane.ClosedSince != 0 || lane.TopicsShut != 0 {
				t.Errorf("a door was closed: %+v", lane)
			}
		})
	}
}
