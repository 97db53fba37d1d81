package bridge

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// guarded is a bridge that is restarted, and whose feedback list is looked at.
type guarded struct {
	*Bridge
	t     *testing.T
	dir   string
	clock *movableClock
	store *boltstore.Store
	mode  SpoolMode
}

func (g *guarded) start(app App) {
	g.store = openStore(g.t, g.dir, boltstore.Options{Now: g.clock.now})
	c := spooled(g.store, g.mode, app)
	c.Now = g.clock.now
	g.Bridge = startBridge(g.t, c)
}

func (g *guarded) restart(app App) {
	g.t.Helper()
	g.Close()
	if err := g.store.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.start(app)
}

// listed counts those of the first count good devices that are on the feedback list.
func (g *guarded) listed(count int) (n int) {
	for i := range count {
		if g.store.Feedback().Listed("mail", deviceToken(goodDevice, i)) {
			n++
		}
	}
	return n
}

func (g *guarded) held() bool {
	lanes := g.Stats().Apps["mail"].Lanes
	return lanes.Production.TopicsShut+lanes.Sandbox.TopicsShut == 1
}

var badTokenRule = []apnssim.Rule{{Reason: apnssim.BadDeviceToken}}

// The guard's hold survives any number of restarts: no device that waits for its end is given
// up or called dead, and all go when the configuration is right.
func TestHoldSurvivesRestarts(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		for _, count := range []int{60, 91, 600} {
			t.Run(fmt.Sprintf("%s, %d", mode.name, count), func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{Reasons: badTokenRule})
				g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: mode.mode}
				app := mailApp(t, sim)
				app.OnBadToken = Continue
				g.start(app)
				session, p := open(t, g.Bridge, Origin{})
				pushMany(t, session, p, 0, count)
				session.Close(nil)
				held := count - (lane.GuardTokens - 1)
				waiting := func() bool {
					return g.held() && g.Stats().Apps["mail"].Waiting.Notifications == held && g.listed(count) == 0 && g.Stats().FeedbackWait == 0
				}
				until(t, "the rest is held, and what was listed is withdrawn", waiting)
				for range 3 {
					g.restart(app)
					until(t, "it is held again", waiting)
					until(t, "the operator is told", func() bool { return strings.Contains(g.Problems()["mail"], "/believe") })
					if says := g.Problems()["mail"]; strings.Contains(says, "last answer") {
						t.Errorf("there is no answer yet, but the operator is told %q", says)
					}
					g.clock.forward(time.Minute) // probes
					until(t, "they are still held", waiting)
				}
				setScenario(t, sim, apnssim.Scenario{})
				right := app
				right.Environment = Sandbox
				if err := g.Reload([]App{right}); err != nil {
					t.Fatal(err)
				}
				until(t, "all go", func() bool { g.clock.forward(time.Second); return sim.Stats().Accepted == held })
				if n := g.listed(count); n != 0 {
					t.Errorf("%d good devices are on the feedback list", n)
				}
			})
		}
	}
}

// An acceptance vouches only for the environment, topic and credential under which it came: a
// reload or restart that makes one of these wrong puts no device on the list.
func TestAcceptanceSpeaksForItsOwn(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for name, change := range map[string]func(*App){
			"environment": func(a *App) { a.Environment = Sandbox },
			"topic":       func(a *App) { a.Topic = "com.example.other" },
			"credential": func(a *App) {
				a.Credentials = forAll(certificateCredential(t))
			},
		} {
			for _, restart := range []bool{false, true} {
				if restart && mode.mode == SpoolOff {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, restart %v", mode.name, name, restart), func(t *testing.T) {
					t.Parallel()
					sim := startSim(t, apnssim.Scenario{})
					g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: mode.mode}
					app := mailApp(t, sim)
					app.OnBadToken = Continue
					g.start(app)
					session, p := open(t, g.Bridge, Origin{})
					const count = 300
					pushMany(t, session, p, 0, count)
					until(t, "all are accepted", func() bool {
						return g.Stats().Apps["mail"].Accepted == count && g.Stats().Unsettled == 0
					})
					setScenario(t, sim, apnssim.Scenario{Reasons: badTokenRule})
					change(&app)
					if restart {
						session.Close(nil)
						g.restart(app)
						session, p = open(t, g.Bridge, Origin{})
					} else if err := g.Reload([]App{app}); err != nil {
						t.Fatal(err)
					}
					pushMany(t, session, p, 0, count)
					until(t, "the app is held", func() bool {
						return g.held() && g.listed(count) == 0 && g.Stats().FeedbackWait == 0
					})
				})
			}
		}
	}
}

func certificateCredential(t *testing.T) *upstream.Credential {
	t.Helper()
	c, err := upstream.NewCertificateCredential(append(pki().Client.CertPEM, pki().Client.KeyPEM...), "", time.Now(), func(*x509.Certificate) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A list begins with dead tokens, on a fresh gateway. The operator says that they really are
// bad, or beforehand that nothing is to be doubted, and all good ones go.
func TestOldListFirst(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, how := range []string{"believe", "no doubt", "found by itself"} {
			t.Run(mode.name+", "+how, func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{})
				g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: mode.mode}
				app := mailApp(t, sim)
				app.OnBadToken, app.NoDoubt = Continue, how == "no doubt"
				g.start(app)
				session, p := open(t, g.Bridge, Origin{})
				const dead, good = 700, 180
				for i := range dead {
					p.push(t, session, note(deviceToken(badDevice, i), uint32(i), hello))
				}
				if how == "believe" {
					until(t, "the app is held", g.held)
				}
				pushMany(t, session, p, 0, good)
				if how == "believe" {
					if err := g.Believe("mail"); err != nil {
						t.Fatal(err)
					}
				}
				until(t, "all good ones go", func() bool {
					if how == "found by itself" {
						g.clock.forward(100 * time.Millisecond)
					}
					return g.Stats().Apps["mail"].Accepted == good
				})
				until(t, "all are settled", func() bool {
					g.clock.forward(time.Second)
					return g.Stats().Unsettled == 0 && g.Stats().Apps["mail"].Waiting.Notifications == 0
				})
				if n := g.listed(good); n != 0 {
					t.Errorf("%d good devices are on the feedback list", n)
				}
				onList := 0
				for i := range dead {
					if g.store.Feedback().Listed("mail", deviceToken(badDevice, i)) {
						onList++
					}
				}
				if onList < dead-lane.GuardTokens || how == "no doubt" && onList != dead {
					t.Errorf("%d of %d dead ones are on the list", onList, dead)
				}
			})
		}
	}
}

// The operator's "try now" gets through a closed door at once, of whatever kind.
func TestTryNow(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		for _, tt := range []struct {
			name string
			ill  apnssim.Scenario
		}{
			{"suspect", apnssim.Scenario{Reasons: badTokenRule}},
			{"credential", apnssim.Scenario{Outage: &apnssim.Outage{Reason: apnssim.InvalidProviderToken}}},
			{"topic", apnssim.Scenario{Topics: []string{"com.example.other"}}},
			{"outage", apnssim.Scenario{Outage: &apnssim.Outage{}}},
		} {
			t.Run(mode.name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, tt.ill)
				g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: mode.mode}
				app := mailApp(t, sim)
				app.OnBadToken = Continue
				g.start(app)
				session, p := open(t, g.Bridge, Origin{})
				const count = 80
				pushMany(t, session, p, 0, count)
				until(t, "it is closed", func() bool { return gateOf(g.Bridge, "mail").ClosedSince != 0 })
				for range 6 { // the next probe is a while away
					asked := gateOf(g.Bridge, "mail").Probes
					until(t, "a probe", func() bool {
						g.clock.forward(5 * time.Second)
						return gateOf(g.Bridge, "mail").Probes > asked
					})
				}
				setScenario(t, sim, apnssim.Scenario{})
				if err := g.Try("mail"); err != nil {
					t.Fatal(err)
				}
				until(t, "somebody is served", func() bool { return sim.Stats().Accepted > 0 })
				until(t, "all go", func() bool {
					g.clock.forward(time.Second)
					return g.Stats().Apps["mail"].Waiting.Notifications == 0
				})
			})
		}
	}
	b := startBridge(t, Config{})
	if b.Try("mail") == nil || b.Believe("mail") == nil {
		t.Error("an app that is not configured was tried, or believed")
	}
}

// The record of a guard has what it knew last, whichever of two decisions is carried out first:
// two answers of APNs come over two connections.
func TestGuardRemembersTheLatest(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	l := b.apps["mail"].lanes[Production]
	l.lock()
	n := l.line("")
	l.Ruled(n, lane.Ruling{Save: true})
	first := l.release()
	now := l.lock()
	l.core.Believe(now)
	l.Ruled(n, lane.Ruling{Save: true})
	latest := n.Record()
	second := l.release()
	l.perform(second)
	l.perform(first)
	if got := b.ledgerLog.Guard(guardKey(l, n)); !bytes.Equal(got, latest) {
		t.Errorf("% x is remembered, and the guard knew % x", got, latest)
	}
}

// A provider leaves its packet unread and goes, and the gateway is restarted. In the end the bad
// token is on the feedback list, although the provider never comes again.
func TestUnreadPacketSurvivesRestarts(t *testing.T) {
	t.Parallel()
	for _, restarts := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(restarts, " restarts"), func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			app := mailApp(t, sim)
			g := &guarded{t: t, dir: t.TempDir(), clock: new(movableClock), mode: SpoolOverflow}
			g.start(app)
			session, p := open(t, g.Bridge, Origin{Client: "pin"})
			p.push(t, session, note(deviceToken(badDevice, 0), 1, hello))
			for i := range 10 {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i+2), hello))
			}
			if fails, _ := p.wait(t); len(fails) != 1 {
				t.Fatalf("told %v", fails)
			}
			session.Shutdown(true)
			session.Close(nil)
			for range restarts {
				g.restart(app)
				g.clock.forward(time.Second)
			}
			if g.store.Feedback().Listed("mail", deviceToken(badDevice, 0)) {
				t.Error("it is on the list before it is known that it was not heard")
			}
			g.clock.forward(3 * time.Minute)
			until(t, "it is on the feedback list", func() bool {
				return g.store.Feedback().Listed("mail", deviceToken(badDevice, 0))
			})
		})
	}
}
