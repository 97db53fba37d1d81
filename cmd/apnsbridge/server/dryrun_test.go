package server

import (
	"fmt"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// An app in a dry run takes everything and sends APNs nothing. That is shown wherever an
// operator looks, and a reload can end it.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.Amend("topic:", "dry_run: true\n    topic:")
	w.Start()
	w.service.warn()
	const count = 2_000 // more than one notification a device
	conn := w.Dial(w.ClientTLS())
	var frames []byte
	for i := range count {
		frames = append(frames, servertest.Enhanced(servertest.Token("0a", i%7), i+1)...)
	}
	frames = append(frames, servertest.Enhanced("bad0"+strings.Repeat("0", 60), count+1)...)
	if _, err := conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	app := func() (taken, dry, accepted uint64, unsettled int64) {
		st := w.service.bridge.Stats()
		return st.Apps["demo"].Taken, st.Apps["demo"].DryRun, st.Apps["demo"].Accepted, st.Unsettled
	}
	servertest.WaitFor(t, "all are through", func() bool {
		_, dry, _, unsettled := app()
		return dry == count+1 &&
			unsettled == 0
	})
	if taken, _, accepted, _ := app(); taken != count+1 || accepted != 0 || w.Sim.Stats().Received != 0 {
		t.Errorf("taken %d, accepted %d, received by APNs %d", taken, accepted, w.Sim.Stats().Received)
	}
	w.service.tellFirsts()
	_, page := w.showPage(t)
	_, check, _ := w.check(CheckOptions{})
	for where, text := range map[string]string{"log": w.Log.String(), "check": check} {
		if !strings.Contains(text, "apps.demo.dry_run: ") || strings.Contains(text, "first notification") {
			t.Errorf("%s: %s", where, text)
		}
	}
	for where, text := range map[string]string{"page": page, "/readyz": fmt.Sprint(w.service.condition(false).problems)} {
		if !strings.Contains(text, dryRunState) || !strings.Contains(text, fmt.Sprintf("notifications so far: %d", count+1)) {
			t.Errorf("%s: %s", where, text)
		}
	}
	if !w.service.condition(false).ready {
		t.Error("the gateway is not ready")
	}

	w.Amend("dry_run: true\n    ", "")
	w.reload()
	if _, err := conn.Write(servertest.Enhanced(servertest.Token("0a", 1), count+2)); err != nil {
		t.Fatal(err)
	}
	w.Await("what comes now", func(s apnssim.Stats) bool { return s.Accepted == 1 })
	if got := fmt.Sprint(w.service.condition(false).problems); strings.Contains(got, "dry run") {
		t.Errorf("/readyz still says %s", got)
	}
}

// A dry run does not prove that the app is right: after it, an app whose tokens APNs all
// refuses is held like any other.
func TestDryRunProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.BadDeviceToken}}})
	w.Stop()
	w.Amend("topic:", "dry_run: true\n    on_bad_token: continue\n    topic:")
	w.Start()
	conn := w.Dial(w.ClientTLS())
	send := func(from, to int) {
		var frames []byte
		for i := from; i < to; i++ {
			frames = append(frames, servertest.Enhanced(servertest.Token("0a", i), i+1)...)
		}
		if _, err := conn.Write(frames); err != nil {
			t.Fatal(err)
		}
	}
	send(0, 100)
	servertest.WaitFor(t, "the dry run", func() bool { return w.service.bridge.Stats().Apps["demo"].DryRun == 100 })
	w.Amend("dry_run: true\n    ", "")
	w.reload()
	send(100, 200)
	servertest.WaitFor(t, "the app is held", func() bool {
		return strings.Contains(w.service.bridge.Problems()["demo"], "The last answer: 400 BadDeviceToken: ")
	})
}
