package bridge

import (
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// Connections to APNs are cut again and again with requests in flight: next to nothing is
// given up, and what is lost is counted.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	count, up := 6_000, 500*time.Millisecond
	if *long {
		count, up = 40_000, time.Second
	}
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			healthy := apnssim.Scenario{Latency: apnssim.Latency{Fixed: 50}}
			sim := startSim(t, healthy)
			s := openStore(t, t.TempDir(), boltstore.Options{})
			b := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			session, p := open(t, b, Origin{})
			done := make(chan struct{})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					for _, scenario := range []apnssim.Scenario{{Outage: &apnssim.Outage{Refuse: true}}, healthy} {
						select {
						case <-done:
							return
						case <-time.After(up):
							sim.SetScenario(scenario)
						}
					}
				}
			}()
			for i := range count {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
				if i%100 == 0 {
					time.Sleep(20 * time.Millisecond) // 5,000 a second
				}
			}
			close(done)
			<-ended
			setScenario(t, sim, apnssim.Scenario{})
			session.Close(nil)
			delivered(t, b)
			served := make(map[string]bool)
			for _, push := range sim.Received(0).Pushes {
				if push.Status == 200 {
					served[push.Token] = true
				}
			}
			dropped := int(b.Stats().Apps["mail"].Dropped)
			if never := count - len(served); dropped > 4 || never > dropped {
				t.Errorf("%d given up, %d never served, of %d", dropped, never, count)
			}
			addsUp(t, b)
		})
	}
}

// Many apps with one signing key show APNs one JWT, over restarts too.
func TestOneKeyManyApps(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{KeyUpdates: &apnssim.RateLimit{Count: 1, Seconds: 1200}})
	var apps []App
	for _, name := range []string{"mail", "chat", "news", "bank"} {
		app := mailApp(t, sim)
		app.Name, app.Topic = name, topic+"."+name
		apps = append(apps, app)
	}
	for round := range 3 {
		b := startBridge(t, Config{Apps: apps})
		for _, app := range apps {
			session, p := open(t, b, Origin{App: app.Name})
			pushMany(t, session, p, round*10, 10)
			until(t, app.Name+" is served", func() bool { return b.Stats().Apps[app.Name].Accepted == 10 })
			session.Close(nil)
		}
		b.Close()
	}
}
