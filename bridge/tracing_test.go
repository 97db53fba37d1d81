package bridge

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/trace"
	"apnsbridge/store/boltstore"
)

var durations = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`)

// story is what was traced of the app mail, a line for each notification, without the times.
func story(t *testing.T, b *Bridge, q trace.Question) string {
	t.Helper()
	q.App = "mail"
	_, notes, err := b.Traced(q)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, n := range notes {
		name := "?"
		if n.Identifier != nil {
			name = fmt.Sprint(*n.Identifier)
		}
		fmt.Fprintf(&lines, "%s:", name)
		for _, s := range n.Steps {
			fmt.Fprintf(&lines, " %s", s.What)
			if s.Detail != "" {
				fmt.Fprintf(&lines, " (%s)", durations.ReplaceAllString(s.Detail, "T"))
			}
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

func traced(t *testing.T, b *Bridge, prefix string, during time.Duration) {
	t.Helper()
	if _, err := b.Trace("mail", prefix, false, during); err != nil {
		t.Fatal(err)
	}
}

func wantStory(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%swant\n%s", what, got, want)
	}
}

// Each notification's trace tells what became of it, to the packet that its provider
// gets and the resend that is swallowed.
func TestTraceTellsTheStory(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	c := Config{Apps: []App{mailApp(t, sim)}, Now: clock.now}
	b := startBridge(t, c)
	traced(t, b, "", time.Hour)
	session, p := open(t, b, Origin{Client: strings.Repeat("c", 64)})
	p.push(t, session, note(deviceToken(goodDevice, 1), 1, `{"aps":{"alert":"a secret"}}`))
	p.push(t, session, note(deviceToken(deadDevice, 1), 2, `{"aps":{}}`))
	delivered(t, b)
	p.push(t, session, note(deviceToken(badDevice, 1), 3, `{"aps":{}}`))
	p.push(t, session, note(deviceToken(goodDevice, 2), 4, `{"aps":{"badge":4}}`))
	p.wait(t)
	session.Close(nil)
	delivered(t, b)
	again, q := open(t, b, Origin{Client: strings.Repeat("c", 64)})
	q.push(t, again, note(deviceToken(goodDevice, 2), 4, `{"aps":{"badge":4}}`))
	again.Close(nil)
	delivered(t, b)
	wantStory(t, "all", story(t, b, trace.Question{}), `1: taken (enhanced, with 28 bytes of payload) sent (attempt 1) answered (200 after T)
2: taken (enhanced, with 10 bytes of payload) sent (attempt 1) answered (410 Unregistered after T) listed (its device goes on the feedback list)
3: taken (enhanced, with 10 bytes of payload) sent (attempt 1) answered (400 BadDeviceToken after T) ended (refused with status 8, invalid token) told (an error packet with status 8, invalid token)
4: taken (enhanced, with 19 bytes of payload) sent (attempt 1) answered (200 after T)
4: taken (enhanced, with 19 bytes of payload) swallowed (it was sent before, or comes again behind an error packet: it is delivered once)
`)
	three := uint32(3)
	if got := story(t, b, trace.Question{Identifier: &three}); strings.Count(got, "\n") != 1 ||
		!strings.HasPrefix(got, "3: ") {
		t.Errorf("by identifier: got\n%s", got)
	}
	_, notes, _ := b.Traced(trace.Question{App: "mail"})
	first := notes[0]
	if first.Environment != "production" || first.Topic != topic || first.Client != strings.Repeat("c", 16) ||
		first.PushType != "alert" || first.Priority != 10 || first.Credential != "token" ||
		first.Endpoint != sim.URL() || first.Payload != `{"aps":{"alert":"…"}}` {
		t.Errorf("got %+v", first)
	}
	text, err := json.Marshal(notes)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{
		hex.EncodeToString(deviceToken(goodDevice, 1)), hex.EncodeToString(deviceToken(badDevice,
			1)), "a secret", "bearer ey",
	} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the trace has %s", secret)
		}
	}
	if st := b.Stats(); st.Traced != 5 || st.Limits.TraceEntries != 10_000 {
		t.Errorf("%d are traced, of %d", st.Traced, st.Limits.TraceEntries)
	}
}

// The trace of a waiting notification says what it waits for, even if it went to disk and came
// back, or tracing was switched on while it waited.
func TestTraceSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	clock := stopped() // nothing is read again before it is traced
	s := openStore(t, t.TempDir(), boltstore.Options{Now: clock.now})
	c := spooled(s, SpoolOverflow, mailApp(t, sim))
	c.Now = clock.now
	b := startBridge(t, c)
	session, p := open(t, b, Origin{})
	p.push(t, session, note(deviceToken(goodDevice, 1), 1, `{"aps":{}}`))
	until(t, "it waits", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == 1 })
	traced(t, b, "aa", 24*time.Hour)
	p.push(t, session, note(deviceToken(goodDevice, 2), 2, `{"aps":{}}`))
	p.push(t, session, note(deviceToken([]byte{0xab}, 3), 3, `{"aps":{}}`))
	late := note(deviceToken(goodDevice, 9), 4, `{"aps":{}}`)
	late.Expiry, late.HasExpiry = uint32(clock.now().Unix()+50), true
	p.push(t, session, late)
	until(t, "all are on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == 4 })
	clock.forward(time.Minute)
	setScenario(t, sim, apnssim.Scenario{})
	until(t, "all are delivered", func() bool {
		clock.forward(time.Second)
		return b.Stats().Apps["mail"].Waiting.Notifications == 0
	})
	got := story(t, b, trace.Question{})
	lines := strings.Split(got, "\n")
	if len(lines) != 4 {
		t.Fatalf("got\n%s", got)
	}
	for _, line := range lines[:3] {
		if strings.HasPrefix(line, "4: ") {
			if !strings.HasSuffix(line, " stored read ended (it has expired)") {
				t.Errorf("the one that has expired: %s", line)
			}
			continue
		}
		want := "read "
		if strings.HasPrefix(line, "2: ") {
			want = "2: taken (enhanced, with 10 bytes of payload) waits (until APNs can be reached and serves again) stored "
		}
		if !strings.Contains(line, want) || !strings.HasSuffix(line, " answered (200 after T)") {
			t.Errorf("got %s, want %s", line, want)
		}
	}
	if strings.Contains(got, "3: ") {
		t.Errorf("a device is traced that was not asked for:\n%s", got)
	}
}

// The trace of a notification that APNs throttles says when it is tried again, and those of
// the ones behind it say what they wait behind.
func TestTraceOfOneDevice(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "c0", Reason: apnssim.TooManyRequests}}})
	clock := stopped()
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	traced(t, b, "c", time.Hour)
	session, p := open(t, b, Origin{})
	p.push(t, session, note(deviceToken([]byte{0xc0}, 1), 1, `{"aps":{}}`))
	until(t, "it waits", func() bool { return gateOf(b, "mail").Asleep == 1 })
	p.push(t, session, note(deviceToken([]byte{0xc0}, 1), 2, `{"aps":{}}`))
	got := story(t, b, trace.Question{})
	for _, want := range []string{
		"answered (429 TooManyRequests after T) released (it has to wait: its provider hears no more of it) waits (for its next attempt, in ",
		"2: taken (enhanced, with 10 bytes of payload) released (it has to wait: its provider hears no more of it) waits (behind another notification to the same device)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

// A trace ends with its time, or when it is switched off; what was traced stays.
func TestTraceEnds(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now})
	session, p := open(t, b, Origin{})
	push := func(n int) {
		t.Helper()
		p.push(t, session, note(deviceToken(goodDevice, n), uint32(n), `{"aps":{}}`))
		delivered(t, b)
	}
	push(1)
	traced(t, b, "aa", time.Minute)
	push(2)
	clock.forward(2 * time.Minute)
	until(t, "it is over", func() bool { return b.apps["mail"].watched.Load() == nil })
	push(3)
	traced(t, b, "aa", time.Minute)
	traced(t, b, "aa", 0)
	push(4)
	if got := story(t, b, trace.Question{}); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "2: ") {
		t.Errorf("got\n%s", got)
	}
	for _, wrong := range []struct {
		app, prefix string
		during      time.Duration
	}{{"chat", "", time.Minute}, {"mail", "xyz", time.Minute}, {"mail", "", 25 * time.Hour}, {"mail", "", -time.Second}} {
		if _, err := b.Trace(wrong.app, wrong.prefix, false, wrong.during); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
	session.Close(nil)
}
