package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/store/boltstore"
)

// While APNs is away and 25,000 notifications wait, everything that an operator looks at shows
// the same number.
func TestEverywhereTheSameNumberWaits(t *testing.T) {
	t.Parallel()
	const count, devices = 25_000, 5_000
	w := newWorld(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	conn := w.Dial(w.ClientTLS())
	var frames []byte
	for i := range count {
		frames = append(frames, servertest.Enhanced(servertest.Token("31", i%devices), i)...)
	}
	if _, err := conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "all are taken and on disk", func() bool {
		st := w.service.bridge.Stats().Apps["demo"]
		return st.Taken == count && st.Waiting.OnDisk == count
	})
	servertest.WaitFor(t, "the list says so", func() bool {
		stats, _, err := boltstore.SpoolBeside(w.Path("data")) // what spool list prints
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, line := range stats.Lines {
			sum += line.Log + line.Queued
		}
		return sum == count
	})
	const waiting = ", 25000 notifications wait"
	if _, ready := w.Ask(t, "GET", "/readyz", nil); !strings.Contains(ready, waiting) {
		t.Errorf("/readyz says %s", ready)
	}
	if got := w.Sum(t, "apnsbridge_notifications_waiting"); got != count {
		t.Errorf("the metrics say that %v wait", got)
	}
	if got := w.Metric(t,
		`apnsbridge_notifications_waiting{app="demo",environment="production",place="disk"}`); got != count {
		t.Errorf("the metrics say that %v are on disk", got)
	}
	_, words := w.showPage(t)
	for _, want := range []string{waiting, "Waiting 25,000 ", " 25,000 oldest ",
		" 25,000 token key "} { // the last is on disk
		if !strings.Contains(words, want) {
			t.Errorf("the page has no %q in %s", want, words)
		}
	}
	conn.Close()
	if err := w.Sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "nothing waits", func() bool { return w.Sum(t, "apnsbridge_notifications_waiting") == 0 })
	const verdicts = `apnsbridge_notification_verdict_duration_seconds_count{app="demo",environment="production"}`
	if got := w.Metric(t, verdicts); got != count {
		t.Errorf("the metrics have times of %v verdicts, want %d", got, count)
	}
	w.checkWithPromtool(t)
}

// checkWithPromtool checks the result of a scrape with Prometheus' own tool.
func (w *world) checkWithPromtool(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("the metrics were not checked with promtool: Debian has it in the package prometheus")
		return
	}
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = strings.NewReader(w.Metrics())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A scrape has next to nothing about five hundred idle apps; bench measures how long it
// takes.
func TestIdleAppsAreNotExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.withApps(500)
	w.Start()
	w.Send(0, w.Dial(w.ClientTLS()))
	servertest.WaitFor(t, "the verdict", func() bool { return w.service.bridge.Stats().Apps["demo"].Accepted == 1 })
	text := w.Metrics()
	const most = 300 << 10
	if len(text) > most || strings.Contains(text, `app="app7"`) {
		t.Errorf("a scrape has %d bytes, want %d at most and no idle app", len(text), most)
	}
	if !strings.Contains(text, `apnsbridge_notifications_taken_total{app="demo",environment="production"} 1`+"\n") {
		t.Error("the app that has sent something is not exported")
	}
	t.Logf("%d bytes", len(text))
}

// withApps configures count more apps, each in its own file.
func (w *world) withApps(count int) {
	w.T.Helper()
	w.Amend("tls:", "apps_dir: apps.d\ntls:")
	if err := os.Mkdir(w.Path("apps.d"), 0o700); err != nil {
		w.T.Fatal(err)
	}
	for i := range count {
		w.writeApp(i, "production")
	}
}

// writeApp writes the file of one of those apps.
func (w *world) writeApp(number int, environment string) {
	w.T.Helper()
	w.Write(filepath.Join("apps.d", fmt.Sprintf("app%d.yaml", number)), fmt.Appendf(nil, `topic: com.example.app%d
environment: %s
endpoint: %s
endpoint_ca: ../ca.pem
credential: {token: {key: ../AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
clients: {ca: ../ca.pem, uid: com.example.app%[1]d}
`, number, environment, w.Sim.URL()))
}

// Bounds that are nearly used up get a remark, except those that fill up in good health.
func TestNearlyUsed(t *testing.T) {
	got := nearlyUsed([]page.Limit{{Name: "connections", Used: 80, Max: 100}, {Name: "handshakes", Used: 81, Max: 100},
		{Name: "none"},
		{Name: "spool.max_bytes", Used: 100, Max: 100}, {Name: "trace_entries", Used: 100, Max: 100}, {Name: "spool_ahead",
			Used: 100, Max: 100}})
	const most = " is used: raise it, or see what uses it; beyond it providers have to wait or are refused"
	want := []page.Remark{{Level: page.Warn, Text: "81 % of limits.handshakes" + most},
		{Level: page.Warn, Text: "100 % of spool.max_bytes" + most}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
