package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

func TestOrderOfEachDevice(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Jitter: 8},
		Reasons: []apnssim.Rule{{Probability: 0.01, Reason: apnssim.ServiceUnavailable}}})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	const sessions, devices, each = 3, 5, 20
	var wg sync.WaitGroup
	for k := range sessions {
		s, p := open(t, b, Origin{})
		wg.Go(func() {
			for i := range devices * each {
				p.push(t, s, note(deviceToken(goodDevice, i%devices), uint32(i),
					fmt.Sprintf(`{"aps":{"alert":"%d"},"session":%d}`, i, k)))
			}
			s.Shutdown(false)
			p.wait(t)
		})
	}
	wg.Wait()
	delivered(t, b)
	last := make(map[string]int)
	for _, push := range sim.Received(0).Pushes {
		if push.Status != 200 {
			continue
		}
		var i, k int
		if _, err := fmt.Sscanf(string(push.Payload), `{"aps":{"alert":"%d"},"session":%d}`, &i, &k); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(push.Token, k)
		if before, ok := last[key]; ok && i != before+devices || !ok && i >= devices {
			t.Fatalf("session %d: %d came behind %d", k, i, before)
		}
		last[key] = i
	}
	if st := sim.Stats(); st.Accepted != sessions*devices*each || st.Duplicates != 0 {
		t.Errorf("%d accepted, %d doubled; want %d, 0", st.Accepted, st.Duplicates, sessions*devices*each)
	}
	b.everyLane(func(l *appLane) {
		for _, n := range l.core.Lines() {
			if !n.Idle() {
				t.Errorf("something is left of %s", l.environment)
			}
		}
	})
}

// With an app whose credential APNs does not take, a full window stops reading.
func TestFullWindowStopsReading(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.InvalidProviderToken}}})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{Window: 8}, Now: clock.now})
	s, p := open(t, b, Origin{})
	for i := range 8 {
		if room := s.Push(note(deviceToken(goodDevice, i), uint32(i), hello)); room != (i < 7) {
			t.Fatalf("push %d: room is %v", i, room)
		}
	}
	until(t, "all wait", func() bool { return gateOf(b, "mail").AtDoor == 8 })
	select {
	case <-p.room:
		t.Fatal("resumed while the window is full")
	default:
	}
	setScenario(t, sim, apnssim.Scenario{})
	clock.forward(2 * time.Minute)
	<-p.room
	pushMany(t, s, p, 100, 50)
	s.Shutdown(false)
	p.wait(t)
	if got := sim.Stats().Accepted; got != 58 {
		t.Errorf("%d accepted, want 58", got)
	}
}

// When the process' bytes run out, other sessions stop too, and all of them go on later.
func TestQueuedBytesStopReading(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	const size = notificationOverhead + 32 + len(hello)
	// 1/64 of it is less than a notification; 48/64 hold twelve.
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{QueuedBytes: 16 * int64(size)}})
	if err := sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{}}); err != nil {
		t.Fatal(err)
	}
	first, _ := open(t, b, Origin{})
	taken := 1
	for first.Push(note(deviceToken(goodDevice, taken), 0, hello)) {
		taken++
	}
	if taken < 12 || taken > 13 {
		t.Errorf("%d notifications were taken, want 12 or 13", taken)
	}
	second, p := open(t, b, Origin{})
	if second.Push(note(deviceToken(goodDevice, 1000), 0, hello)) {
		t.Error("another session still has room")
	}
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.room:
	case <-within(t).Done():
		t.Fatal("the other session was not resumed")
	}
	shutdown(t, b)
	first.Close(nil)
	second.Close(nil)
	if st := b.Stats(); st.QueuedBytes != 0 || st.Unsettled != 0 {
		t.Errorf("%d bytes, %d notifications are left", st.QueuedBytes, st.Unsettled)
	}
}

func TestRejectedFramesKeepTheirPlace(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: stopped().now})
	held := hold(b)
	s, p := open(t, b, Origin{})
	p.push(t, s, note(deviceToken(goodDevice, 1), 1, hello))
	s.Reject(&binproto.Notification{Command: binproto.Simple}, binproto.InvalidTokenSize)
	s.Reject(&binproto.Notification{Command: binproto.Framed, Identifier: 2, HasIdentifier: true}, binproto.Unknown)
	s.Reject(&binproto.Notification{Command: binproto.Framed, Identifier: 3, HasIdentifier: true}, binproto.MissingPayload)
	if fails, _ := p.told(); len(fails) != 0 {
		t.Fatalf("told %v before the first has its verdict", fails)
	}
	held.letGo()
	fails, _ := p.wait(t)
	if want := (binproto.Response{Status: binproto.Unknown, Identifier: 2}); len(fails) != 1 || fails[0] != want {
		t.Errorf("told %v, want %v", fails, want)
	}
	if got := sim.Stats().Accepted; got != 1 {
		t.Errorf("reported after %d accepted, want 1", got)
	}
	for i := range 2000 {
		if !s.Push(note(deviceToken(goodDevice, i+2), uint32(i+4), hello)) {
			t.Fatalf("no room for number %d behind the packet, which must never stop the reading", i)
		}
	}
}

func TestConnectionGone(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Jitter: 30}})
	feedback := new(list)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: feedback})
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 50)
	bad := deviceToken(badDevice, 1)
	s.Push(note(bad, 50, hello))
	pushMany(t, s, p, 100, 50)
	s.Close(errors.New("reset"))
	shutdown(t, b)
	if fails, closes := p.told(); len(fails)+closes != 0 {
		t.Errorf("told %v, closed %d after the connection had gone", fails, closes)
	}
	if got := sim.Stats().Accepted; got != 100 {
		t.Errorf("%d accepted, want 100", got)
	}
	if got := feedback.tokens(); len(got) != 1 || got[0] != fmt.Sprintf("%x", bad) {
		t.Errorf("feedback has %v, want the bad token", got)
	}
	if got := b.Stats().Sessions; got != 0 {
		t.Errorf("%d sessions are left", got)
	}
}

// A notification to a dead device settles once the list has the device, and not before.
func TestFeedbackIsNeverLost(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	feedback := &list{err: errors.New("disk full")}
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: feedback})
	s, p := open(t, b, Origin{})
	p.push(t, s, note(deviceToken(deadDevice, 1), 1, hello))
	s.Shutdown(false)
	until(t, "an attempt to store", func() bool {
		feedback.mu.Lock()
		defer feedback.mu.Unlock()
		return feedback.calls > 0
	})
	if _, closes := p.told(); closes != 0 {
		t.Error("settled before it was stored")
	}
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Shutdown(expired); err == nil || !strings.Contains(err.Error(), "1 notifications") {
		t.Errorf("got %v from a Shutdown that could not finish", err)
	}
	feedback.mu.Lock()
	feedback.err = nil
	feedback.mu.Unlock()
	shutdown(t, b)
	if got := feedback.tokens(); len(got) != 1 {
		t.Errorf("feedback has %v, want one", got)
	}
}

func TestShutdownEndsSessions(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 50}})
	clock := stopped()
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	busy, busyPeer := open(t, b, Origin{})
	_, idlePeer := open(t, b, Origin{})
	busy.Push(note(deviceToken(goodDevice, 1), 1, hello))
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(within(t)) }()
	clock.forward(settleIn)
	idlePeer.wait(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	last := binproto.Response{Status: binproto.Shutdown, Identifier: 1}
	busyPeer.wait(t) // whoever was at it when Shutdown returned may be telling it still
	if fails, closes := busyPeer.told(); closes != 0 || len(fails) != 1 || fails[0] != last || sim.Stats().Accepted != 1 {
		t.Errorf("told %v, closed %d times with %d accepted; want %v, 0 and 1", fails, closes, sim.Stats().Accepted, last)
	}
	if fails, closes := idlePeer.told(); closes != 1 || len(fails) != 0 {
		t.Errorf("an idle provider was told %v and closed %d times, want an end without a word", fails, closes)
	}
	// What the provider had on its way is still delivered.
	busy.Push(note(deviceToken(goodDevice, 2), 2, hello))
	shutdown(t, b)
	if got := sim.Stats().Accepted; got != 2 {
		t.Errorf("%d accepted, want 2", got)
	}
}

// A provider that comes while the bridge is stopping is read, and told what it has to send
// again.
func TestShutdownHearsLatecomers(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := stopped() // until all has been heard
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	_, first := open(t, b, Origin{})
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(within(t)) }()
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 20)
	until(t, "all are settled", func() bool { return b.Stats().Unsettled == 0 })
	clock.forward(settleIn)
	if fails, _ := p.wait(t); len(fails) != 1 || fails[0] != (binproto.Response{Status: binproto.Shutdown, Identifier: 19}) {
		t.Errorf("the latecomer was told %v, want that all up to 19 are sent", fails)
	}
	first.wait(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := sim.Stats().Accepted; got != 20 {
		t.Errorf("%d accepted, want 20", got)
	}
	b.Close()
	if _, err := b.Open(new(recorder), Origin{App: "mail"}); err == nil {
		t.Error("a session was opened behind Close")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	mail := mailApp(t, sim)
	chat := mail
	chat.Name, chat.Topic = "chat", ""
	b := startBridge(t, Config{Apps: []App{mail, chat}})
	if _, err := b.Open(new(recorder), Origin{App: "chat"}); err == nil {
		t.Error("a session without a topic was opened")
	}
	s, p := open(t, b, Origin{})
	chatSession, chatPeer := open(t, b, Origin{App: "chat", Topic: "com.example.chat"})
	pushMany(t, s, p, 0, 1)
	pushMany(t, chatSession, chatPeer, 100, 1)
	if err := sim.Wait(within(t), func(st apnssim.Stats) bool { return st.Accepted == 2 }); err != nil {
		t.Fatal(err)
	}

	broken := mail
	broken.Endpoint = "http://127.0.0.1"
	for _, apps := range [][]App{{mail, mail}, {mail, broken}, {{Name: "x"}}} {
		if err := b.Reload(apps); err == nil {
			t.Errorf("%d apps with a fault were taken", len(apps))
		}
	}
	if _, closes := chatPeer.told(); closes != 0 {
		t.Error("a refused reload ended a session")
	}

	mail.PushType = "background"
	if err := b.Reload([]App{mail}); err != nil {
		t.Fatal(err)
	}
	chatPeer.wait(t)
	pushMany(t, s, p, 1, 1)
	shutdown(t, b)
	got := sim.Received(0).Pushes
	last := got[len(got)-1]
	if last.PushType != "background" || last.Connection != got[0].Connection && got[0].Topic == topic {
		t.Errorf("got %+v, want a background push over the old connection", last)
	}
	for _, push := range got {
		if want := map[bool]string{true: topic, false: "com.example.chat"}[push.Token < fmt.Sprintf("%x", deviceToken(goodDevice, 100))]; push.Topic != want {
			t.Errorf("topic %s, want %s", push.Topic, want)
		}
	}
}

// Close with work under way: nothing runs afterwards, which goleak sees.
func TestCloseAbandons(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 3_600_000}})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{RequestTimeout: time.Hour}})
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 20)
	until(t, "requests under way", func() bool { return sim.Stats().Streams > 0 })
	start := time.Now()
	b.Close()
	if took := time.Since(start); took > patience { // they are answered after an hour
		t.Errorf("Close took %v", took)
	}
	if got := b.Stats().Apps["mail"].Abandoned; got != 20 {
		t.Errorf("%d were abandoned, want 20", got)
	}
}
