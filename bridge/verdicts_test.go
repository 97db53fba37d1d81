package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

const hello = `{"aps":{"alert":"hi"}}`

func TestFirstFailureIsReportedOnce(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Seed: 1, Latency: apnssim.Latency{Jitter: 20}})
	feedback := new(list)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: feedback})
	const sessions, count = 4, 400
	const bad, badAgain, dead = 150, 152, 120
	for k := range sessions {
		s, p := open(t, b, Origin{})
		for i := range count {
			prefix := goodDevice
			switch i {
			case bad, badAgain:
				prefix = badDevice
			case dead:
				prefix = deadDevice
			}
			p.push(t, s, note(deviceToken(prefix, k*count+i), uint32(i), hello))
		}
		fails, closes := p.wait(t)
		if want := (binproto.Response{Status: binproto.InvalidToken, Identifier: bad}); closes != 0 || len(fails) != 1 || fails[0] != want {
			t.Fatalf("told %v, closed %d; want %v", fails, closes, want)
		}
		s.Close(nil)
	}
	shutdown(t, b)
	got := sim.Received(0)
	arrived := make(map[string]bool)
	for _, push := range got.Pushes {
		arrived[push.Token] = true
	}
	for k := range sessions {
		for i := range count {
			if i != dead && i != bad && i != badAgain && !arrived[fmt.Sprintf("%x", deviceToken(goodDevice, k*count+i))] {
				t.Fatalf("session %d: %d never arrived", k, i)
			}
		}
	}
	if got.Duplicates != 0 {
		t.Errorf("%d arrived twice", got.Duplicates)
	}
	st := b.Stats().Apps["mail"]
	if ended := st.Accepted + st.BadTokens + st.Unregistered; st.Conversation.Packets != sessions || ended != sessions*count {
		t.Errorf("%d reported, %d came to an end; want %d, %d: %+v",
			st.Conversation.Packets, ended, sessions, sessions*count, st)
	}
	// The second bad token is behind the packet: its provider will ask again.
	if got := len(feedback.tokens()); got != sessions {
		t.Errorf("feedback has %v, want %d", feedback.tokens(), sessions)
	}
}

func TestUnregisteredGoesToFeedbackWithApplesTime(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	feedback := new(list)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: feedback})
	since := time.Unix(1_700_000_000, 0)
	known, unknown := deviceToken(goodDevice, 1), deviceToken(deadDevice, 2)
	if err := sim.SetDevice(apnssim.Device{Token: fmt.Sprintf("%x", known), State: apnssim.Uninstalled, Since: since.Unix()}); err != nil {
		t.Fatal(err)
	}
	start := time.Now().Truncate(time.Millisecond)
	s, p := open(t, b, Origin{})
	for i, token := range [][]byte{known, unknown, deviceToken(goodDevice, 3)} {
		p.push(t, s, note(token, uint32(i), hello))
	}
	s.Shutdown(false)
	if fails, _ := p.wait(t); len(fails) != 0 {
		t.Fatalf("told %v, want silence", fails)
	}
	if got := feedback.dead[fmt.Sprintf("%x", known)].Time; !got.Equal(since) {
		t.Errorf("got %s, want APNs' %s", got, since)
	}
	if got := feedback.dead[fmt.Sprintf("%x", unknown)].Time; got.Before(start) || got.After(time.Now()) {
		t.Errorf("got %s, want the time of the push", got)
	}

	// A device that takes a push again leaves the list.
	if err := sim.SetDevice(apnssim.Device{Token: fmt.Sprintf("%x", known), State: apnssim.Active}); err != nil {
		t.Fatal(err)
	}
	s, p = open(t, b, Origin{})
	p.push(t, s, note(known, 1, hello))
	s.Shutdown(false)
	p.wait(t)
	if got, want := feedback.tokens(), []string{fmt.Sprintf("%x", unknown)}; !slices.Equal(got, want) {
		t.Errorf("the list has %v, want %v", got, want)
	}
}

func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	strange := "SomethingNew"
	scenario := apnssim.Scenario{Reasons: []apnssim.Rule{
		{Prefix: "cc01", Status: 400, Body: &[]string{`{"reason":"` + strange + `"}`}[0]},
		{Prefix: "cc02", Reason: apnssim.PayloadEmpty},
		{Prefix: "cc03", Reason: apnssim.MissingDeviceToken},
		{Prefix: "cc04", Reason: apnssim.PayloadTooLarge},
		{Prefix: "cc05", Reason: apnssim.DeviceTokenNotForTopic},
	}}
	fail := func(status binproto.Status) []binproto.Response {
		return []binproto.Response{{Status: status, Identifier: 7}}
	}
	tests := []struct {
		name     string
		set      func(*App)
		device   []byte
		noID     bool
		fails    []binproto.Response
		feedback bool
	}{
		{name: "bad token", device: badDevice, fails: fail(8)},
		{name: "another app's token", device: []byte{0xcc, 5}, fails: fail(8)},
		{name: "without identifier", device: badDevice, noID: true, feedback: true},
		{name: "continue", device: badDevice, set: func(a *App) { a.OnBadToken = Continue }, feedback: true},
		{name: "continue, another failure", device: []byte{0xcc, 4}, set: func(a *App) { a.OnBadToken = Continue }, fails: fail(7)},
		{name: "mdm continues by itself", device: badDevice, set: func(a *App) { a.Topic = "com.apple.mgmt.External.1" }, feedback: true},
		{name: "mdm reports if told to", device: badDevice, set: func(a *App) { a.Topic, a.OnBadToken = "com.apple.mgmt.External.1", Report }, fails: fail(8)},
		{name: "pass continues by itself", device: badDevice, set: func(a *App) { a.Topic = "pass.com.example" }, feedback: true},
		{name: "payload empty", device: []byte{0xcc, 2}, fails: fail(4)},
		{name: "payload empty, without identifier", device: []byte{0xcc, 2}, noID: true},
		{name: "missing token", device: []byte{0xcc, 3}, fails: fail(2)},
		{name: "payload too large", device: []byte{0xcc, 4}, fails: fail(7)},
		{name: "unknown words, strict", device: []byte{0xcc, 1}, set: func(a *App) { a.Strict = true }, fails: fail(255)},
	}
	sim := startSim(t, scenario)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim.Reset()
			app := mailApp(t, sim)
			if tt.set != nil {
				tt.set(&app)
			}
			feedback := new(list)
			b := startBridge(t, Config{Apps: []App{app}, Feedback: feedback})
			s, p := open(t, b, Origin{})
			n := note(deviceToken(tt.device, 1), 7, hello)
			n.HasIdentifier = !tt.noID
			p.push(t, s, n)
			if len(tt.fails) == 0 {
				p.push(t, s, note(deviceToken(goodDevice, 2), 8, hello))
			}
			if len(tt.fails) == 0 {
				s.Shutdown(false)
			}
			fails, closes := p.wait(t)
			if !slices.Equal(fails, tt.fails) || closes != 1-len(tt.fails) {
				t.Errorf("told %v, closed %d; want %v", fails, closes, tt.fails)
			}
			s.Close(nil)
			shutdown(t, b)
			if got := len(feedback.tokens()) == 1; got != tt.feedback {
				t.Errorf("in feedback: %v, want %v", got, tt.feedback)
			}
			if got := sim.Stats().Accepted; got != 1-len(tt.fails) {
				t.Errorf("%d accepted behind it, want %d", got, 1-len(tt.fails))
			}
		})
	}
}

// A device that gets too many pushes holds up no other: what is behind it is settled, and a
// failure there told, before it is tried again.
func TestThrottledDeviceLeavesTheWindow(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "aa", Reason: apnssim.TooManyRequests}}})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	s, p := open(t, b, Origin{})
	p.push(t, s, note(deviceToken(goodDevice, 1), 1, hello))
	p.push(t, s, note(deviceToken([]byte{0xcc}, 2), 2, hello))
	until(t, "the throttled one has left", func() bool { return b.Stats().Retrying == 1 })
	p.push(t, s, note(deviceToken(badDevice, 3), 3, hello))
	if fails, _ := p.wait(t); len(fails) != 1 || fails[0].Identifier != 3 {
		t.Errorf("told %v, want the third", fails)
	}
	if got := b.Stats().Apps["mail"].Conversation.TakenOver; got != 0 {
		t.Errorf("%d were taken over, for which the failure had waited", got)
	}
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	s.Close(nil)
	shutdown(t, b)
	if got := sim.Stats().Accepted; got != 2 {
		t.Errorf("%d accepted, want 2", got)
	}
}

// A request that APNs objects to is changed once, and sent again.
func TestSecondAttempts(t *testing.T) {
	t.Parallel()
	rule := func(r apnssim.Reason, times int) apnssim.Scenario {
		return apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: r, Times: times}}}
	}
	background := `{"aps":{"content-available":1}}`
	tests := []struct {
		name     string
		scenario apnssim.Scenario
		payload  string
		attempts int
		last     func(apnssim.Push) bool
		held     bool // until the app's credential is tried again
	}{
		{"priority", rule(apnssim.BadPriority, 1), hello, 2, func(p apnssim.Push) bool { return p.Priority == 5 && p.PushType == "alert" }, false},
		{"alert", rule(apnssim.InvalidPushType, 1), hello, 2, func(p apnssim.Push) bool { return p.Priority == 5 && p.PushType == "background" }, false},
		{"background", rule(apnssim.InvalidPushType, 1), background, 2, func(p apnssim.Push) bool { return p.Priority == 10 && p.PushType == "alert" }, false},
		{"expiration", rule(apnssim.BadExpirationDate, 1), hello, 2, func(p apnssim.Push) bool { return p.Expiration == nil }, false},
		{"changed once only", rule(apnssim.BadPriority, 0), hello, 2, nil, false},
		{"our topic", rule(apnssim.TopicDisallowed, 2), hello, 3, func(p apnssim.Push) bool { return p.Status == 200 }, false},
		{"our credential", rule(apnssim.InvalidProviderToken, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 }, true},
		{"stale JWT", rule(apnssim.ExpiredProviderToken, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 && p.Connection == 2 }, false},
		{"a JWT too many", rule(apnssim.TooManyProviderTokenUpdates, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 && p.Connection == 2 }, false},
		{"the older one too", rule(apnssim.TooManyProviderTokenUpdates, 2), hello, 3, func(p apnssim.Push) bool { return p.Status == 200 }, true},
		{"one device too often", rule(apnssim.TooManyRequests, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 }, false},
		{"503", rule(apnssim.ServiceUnavailable, 2), hello, 3, func(p apnssim.Push) bool { return p.Status == 200 }, false},
		{"500", rule(apnssim.InternalServerError, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 }, false},
		{"shutting down", rule(apnssim.Shutdown, 1), hello, 2, func(p apnssim.Push) bool { return p.Status == 200 }, false},
		{"not JSON", apnssim.Scenario{Reasons: []apnssim.Rule{{Status: 502, Body: &[]string{"<html>"}[0], Times: 1}}}, hello, 2,
			func(p apnssim.Push) bool { return p.Status == 200 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, tt.scenario)
			clock := new(movableClock)
			app := mailApp(t, sim)
			_, credential := newKey(t, "OWNKEY1234") // a JWT is renewed once in 20 minutes, for all who have its key
			app.Credentials = forAll(credential)
			b := startBridge(t, Config{Apps: []App{app}, Now: clock.now})
			s, p := open(t, b, Origin{})
			n := note(deviceToken(goodDevice, 1), 1, tt.payload)
			n.Expiry, n.HasExpiry = uint32(time.Now().Unix()+3600), true
			p.push(t, s, n)
			if tt.held {
				until(t, "it waits at the door, or did", func() bool {
					return gateOf(b, "mail").AtDoor == 1 || gateOf(b, "mail").Probes > 0 // by itself, on a busy machine
				})
				clock.forward(heldPeriod)
			}
			s.Shutdown(false)
			if fails, _ := p.wait(t); len(fails) != 0 {
				t.Errorf("told %v, want silence", fails)
			}
			shutdown(t, b)
			got := sim.Received(0).Pushes
			if len(got) != tt.attempts {
				t.Fatalf("%d attempts, want %d", len(got), tt.attempts)
			}
			for _, push := range got {
				if push.APNSID != got[0].APNSID {
					t.Errorf("apns-id %s and %s", got[0].APNSID, push.APNSID)
				}
			}
			last := got[len(got)-1]
			if tt.last != nil && !tt.last(last) {
				t.Errorf("the last attempt was %+v", last)
			}
			if st := b.Stats().Apps["mail"]; tt.last == nil && st.Dropped != 1 {
				t.Errorf("%d were given up, want 1", st.Dropped)
			}
		})
	}
}

func TestExpiredWhileWaiting(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	clock := stopped()
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	s, p := open(t, b, Origin{})
	n := note(deviceToken(goodDevice, 1), 1, hello)
	n.Expiry, n.HasExpiry = uint32(clock.now().Unix()+40), true
	p.push(t, s, n)
	never := note(deviceToken(goodDevice, 2), 2, hello)
	never.Expiry, never.HasExpiry = 86400, true
	p.push(t, s, never)
	if err := sim.Wait(within(t), func(st apnssim.Stats) bool { return st.Rejected >= 2 }); err != nil {
		t.Fatal(err)
	}
	clock.forward(42 * time.Second) // the other one has a minute
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown(false)
	clock.late(t, b, "both have come to their end", func() bool { return b.Stats().Unsettled == 0 })
	if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
		t.Errorf("told %v, closed %d; want silence", fails, closes)
	}
	if st := b.Stats().Apps["mail"]; st.Expired != 1 || st.Accepted != 1 {
		t.Errorf("%d expired and %d accepted, want 1 and 1", st.Expired, st.Accepted)
	}
}
