package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

// withCertificate gives the demo's app a push certificate that lasts so long,
// instead of a key.
func (w *world) withCertificate(lasts time.Duration) {
	w.t.Helper()
	w.renewPushCertificate(lasts)
	w.amend("token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}", "certificate: {file: push.pem}")
}

// renewPushCertificate replaces the file of withCertificate.
func (w *world) renewPushCertificate(lasts time.Duration) {
	w.t.Helper()
	pair, err := pki().Issue(devpki.ClientOptions{Topic: demoTopic, NotAfter: time.Now().Add(lasts)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("push.pem", append(pair.CertPEM, pair.KeyPEM...))
}

const day = 24 * time.Hour

// A certificate that will expire is named in the log once a day, in check, and
// in the metrics.
func TestExpiryWarnings(t *testing.T) {
	for _, tt := range []struct {
		lasts  time.Duration
		within string // in the log; "": no warning
		level  string
	}{
		{31 * day, "", ""},
		{30 * day, `"within_days":30`, "warn"},
		{15 * day, `"within_days":30`, "warn"},
		{14 * day, `"within_days":14`, "warn"},
		{4 * day, `"within_days":14`, "warn"},
		{3 * day, `"within_days":3`, "error"},
		{time.Hour, `"within_days":3`, "error"},
	} {
		t.Run(tt.lasts.String(), func(t *testing.T) {
			w := newWorld(t, apnssim.Scenario{})
			w.withCertificate(tt.lasts)
			w.reload()
			w.service.warn()
			want := fmt.Sprintf("the push certificate of apps.demo.credential expires on %s, in %d days: renew it in Apple's developer site and reload, or use a token",
				time.Now().Add(tt.lasts).UTC().Format(time.DateOnly), int((tt.lasts-time.Minute)/day))
			var got string
			for line := range strings.Lines(w.log.String()) {
				if strings.Contains(line, "the push certificate") {
					got = line
				}
			}
			if tt.within == "" {
				if got != "" {
					t.Errorf("got %q, want no warning", got)
				}
			} else if !strings.Contains(got, want) || !strings.Contains(got, tt.within) || !strings.Contains(got, `"level":"`+tt.level+`"`) {
				t.Errorf("got %q, want %q with %s at level %s", got, want, tt.within, tt.level)
			}
			code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
			if code != exitOK || strings.Contains(stdout, "warning: "+want) != (tt.within != "") {
				t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// What expires while the gateway runs is still named, with its day, by the
// gateway's own clock.
func TestExpiredWhileRunning(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	w.now = func() time.Time { return pki().Server.Leaf.NotAfter.Add(day) }
	w.start()
	w.service.warn()
	if want := w.path("server.pem") + " expired on " + pki().Server.Leaf.NotAfter.Format(time.DateOnly) + ": put a new one and its key in place"; !strings.Contains(w.log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, w.log.String())
	}
}

func TestExpiryMetrics(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	near := func(got float64, want time.Duration) bool {
		return got <= want.Seconds() && got > want.Seconds()-3600
	}
	if got := w.metric(t, "apnsbridge_server_certificate_expires_seconds"); !near(got, time.Until(pki().Server.Leaf.NotAfter)+time.Second) {
		t.Errorf("server certificate: got %v seconds", got)
	}
	if text := w.metrics(); strings.Contains(text, "apnsbridge_credential_expires_seconds") {
		t.Error("the key of a token is said to expire")
	}
	w.withCertificate(10 * day)
	w.reload()
	if got := w.metric(t, `apnsbridge_credential_expires_seconds{app="demo"}`); !near(got, 10*day) {
		t.Errorf("credential: got %v seconds, want those of 10 days", got)
	}
}

// A private key that others may read is named with what to do.
func TestKeyModeWarnings(t *testing.T) {
	for _, file := range []struct{ name, setting string }{
		{"server-key.pem", "tls.key"},
		{"AuthKey_DEVELOPER.p8", "apps.demo.credential"},
		{"push.pem", "apps.demo.credential"},
	} {
		w := newWorld(t, apnssim.Scenario{})
		if file.name == "push.pem" {
			w.withCertificate(365 * day)
		}
		for _, tt := range []struct {
			mode   os.FileMode
			warned bool
		}{{0o600, false}, {0o400, false}, {0o640, true}, {0o644, true}, {0o604, true}, {0o611, false}} {
			t.Run(fmt.Sprintf("%s %04o", file.name, tt.mode), func(t *testing.T) {
				path := w.path(file.name)
				if err := os.Chmod(path, tt.mode); err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("warning: %s: others than its owner may read %s (mode %04o): chmod 600 %s\n", file.setting, path, tt.mode, path)
				code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
				if code != exitOK || strings.Contains(stdout, want) != tt.warned || strings.Contains(stdout, "chmod") != tt.warned {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
			})
		}
	}
}

func TestDescriptorWarning(t *testing.T) {
	a := &assembly{config: settingsOf(t, "limits: {connections: 1000}")}
	if got := a.descriptors(2256); got != nil {
		t.Errorf("got %v for 2256 files, want no warning", got)
	}
	const want = "this process may open 2255 files, and with limits.connections of 1000 its two ports need 2256: raise LimitNOFILE in its unit or ulimit -n, or lower limits.connections"
	if got := a.descriptors(2255); len(got) != 1 || got[0].text != want {
		t.Errorf("got %v, want %q", got, want)
	}
	if got := openFiles(); got < 3 || got == ^uint64(0) {
		t.Errorf("this process may open %d files: that was not asked for", got)
	}
}
