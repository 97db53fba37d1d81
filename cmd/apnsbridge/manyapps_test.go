package main

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

// Five hundred customers have a file each. check and a reload that changes one of
// them take their time by the clock of whoever waits: the bounds are generous
// here, bench has the figures.
func TestFiveHundredApps(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	w.withApps(500)
	start := time.Now()
	code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
	t.Logf("check: %v", time.Since(start))
	if code != exitOK || !strings.Contains(stdout, "apps: 501, with a token: 501") || strings.Contains(stdout, "app7 ") {
		t.Errorf("got exit code %d and %s%s", code, stdout, stderr)
	}
	w.start()
	old := w.dial(w.clientTLS())
	w.writeApp(7, "sandbox")
	start = time.Now()
	w.service.hangup()
	t.Logf("reload: %v", time.Since(start))
	if want := `"changes":"apps changed: app7"`; !strings.Contains(w.log.String(), want) {
		t.Errorf("the log has no %s:\n%.2000s", want, w.log.String())
	}
	w.send(0, old, w.dial(w.clientTLS())) // the others are as they were
}

// One app whose credential is of no use is held, and told of everywhere; the
// others are served.
func TestOneAppIsHeld(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	w.withExpired("held")
	w.start()
	w.service.warn()
	w.send(0, w.dial(w.clientTLS()))
	for where, text := range map[string]string{"log": w.log.String(), "/readyz": fmt.Sprint(w.service.condition(false).problems), "state": fmt.Sprint(w.service.state(false).Remarks)} {
		if !strings.Contains(text, "apps.held.credential: ") || !strings.Contains(text, "expired on") {
			t.Errorf("%s does not tell of the app: %s", where, text)
		}
	}
	if !w.service.condition(false).ready {
		t.Error("the gateway is not ready for the others")
	}
	code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
	if code != exitOK || !strings.HasPrefix(stdout, "alarm: apps.held.credential: ") || !strings.Contains(stdout, "no problems, alarms: 1") {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := w.apnsbridge("", "check", "--strict", "--config", w.path("apnsbridge.yaml")); code != exitFailed || !strings.Contains(stderr, "alarms: 1") {
		t.Errorf("check --strict: exit code %d, %s", code, stderr)
	}
}

// Where no app can be served that is a problem, which is said once.
func TestAllAppsAreHeld(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	w.amend("AuthKey_DEVELOPER.p8", "gone.p8")
	code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
	if code != exitFailed || strings.Count(stdout+stderr, "gone.p8") != 1 || !strings.Contains(stdout, "\nproblem  demo  ") {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// withExpired adds an app whose certificate has expired.
func (w *world) withExpired(name string) {
	w.t.Helper()
	a := newAgreement(w.t)
	text, err := os.ReadFile(filepath.Join(a.dir, "etc", "expired.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("expired.pem", text)
	w.amend("apps:\n", "apps:\n  "+name+": {topic: com.example.chat, credential: {certificate: {file: expired.pem}}, clients: [{cidr: 127.0.0.9/32}]}\n")
}

// A reload with a credential that is of no use keeps the one that is there, and
// takes what else has changed.
func TestReloadKeepsACredential(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.withCertificate(100 * day)
	w.stop()
	w.amend("apps:\n", "apps:\n  other: {topic: com.example.other, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}, clients: [{cidr: 127.0.0.9/32}]}\n")
	w.start()
	w.write("push.pem", []byte("garbage"))
	w.amend("127.0.0.9/32", "127.0.0.8/32")
	outcome := w.service.hangup()
	if outcome.err != nil || !strings.Contains(outcome.changes, "apps changed: other") {
		t.Fatalf("got %+v", outcome)
	}
	want := "until then the app keeps the credential it had"
	if !strings.Contains(w.log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, w.log.String())
	}
	if got := fmt.Sprint(outcome.alarms); !strings.Contains(got, want) {
		t.Errorf("whoever has asked for the reload is told %q, want %q", got, want)
	}
	w.write("push.pem", nil)
	if _, err := w.tryDial(w.clientTLS()); err != nil {
		t.Errorf("the app's provider: %v", err)
	}
}

// status and reload ask the gateway that runs; check leaves its ports alone.
func TestOperatorCommands(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	w.fixPorts()
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	tended := make(chan error, 1)
	go func() { tended <- w.service.tend(ctx, nil, &systemd{}) }()
	defer func() {
		cancel()
		if err := <-tended; err != nil {
			t.Error(err)
		}
	}()
	flag := "--config=" + w.path("apnsbridge.yaml")
	expect := func(want int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := w.apnsbridge("", append(args, flag)...)
		if code != want || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", args, code, want, says, stdout, stderr)
		}
	}
	expect(exitOK, "demo  com.example.demo  production", "status")
	expect(exitOK, `"ready":true`, "status", "--json")
	expect(exitOK, "held by the gateway that runs", "check")
	expect(exitFailed, "address already in use", "check", "--listen")
	expect(exitOK, "reloaded; changes: none", "reload")
	expect(exitOK, "The way is open", "try", "--cert", w.path("client.pem"), "--key", w.path("client-key.pem"))
	expect(exitFailed, "does not admit this provider", "try")
	expect(exitUsage, "choose one of demo", "try", "--app", "nobody")

	// A file that is wrong, or wants a variable of the unit's, is when one asks.
	w.amend("topic:", "strikt: true\n    topic:")
	expect(exitFailed, `unknown key "strikt"`, "reload")
	expect(exitOK, "demo  com.example.demo  production", "status")
	w.amend("strikt: true", "strict: ${APNSBRIDGE_UNSET}")
	expect(exitFailed, "APNSBRIDGE_UNSET is not set", "reload")
	expect(exitOK, "demo  com.example.demo  production", "status")
	expect(exitOK, "nothing of this was traced", "trace", "--show")
	w.amend("apps:", "admn: {}\napps:")
	expect(exitOK, "demo  com.example.demo  production", "status")
	w.amend("apps:", "  tokn: x\napps:")
	expect(exitFailed, "something stands behind the value of tokn", "status")
}

// The first acceptance of an app is told once.
func TestFirstAcceptance(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.service.tellFirsts()
	w.send(0, w.dial(w.clientTLS()))
	waitFor(t, "the verdict", func() bool { return w.service.bridge.Stats().Apps["demo"].Accepted == 1 })
	for range 2 {
		w.service.tellFirsts()
	}
	w.service.summarise()
	if got := strings.Count(w.log.String(), "APNs has accepted the app's first notification"); got != 1 {
		t.Errorf("got %d lines:\n%s", got, w.log.String())
	}
	w.service.summarise()
	for i, want := range []string{`"taken":1,"accepted":1,`, `"taken":0,"accepted":0,`} {
		if lines := linesWith(w.log.String(), "the last hour"); len(lines) != 2 || !strings.Contains(lines[i], want) {
			t.Errorf("summary %d has no %s:\n%s", i, want, w.log.String())
		}
	}
}

// What a held app is sent waits, over a restart too, and goes when the credential
// is good.
func TestHeldNotificationsGoAfterReload(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.withCertificate(100 * day)
	good, err := os.ReadFile(w.path("push.pem"))
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.amend("apps:\n", "apps:\n  other: {topic: com.example.other, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}, clients: [{cidr: 127.0.0.9/32}]}\n")
	w.amend("tls:", "limits: {drain: 100ms}\ntls:")
	w.write("push.pem", []byte("garbage"))
	w.start()
	conn := w.dial(w.clientTLS())
	n := binproto.Notification{Command: binproto.Enhanced, Identifier: 1, Token: unhex(token("0a", 1)), Payload: []byte(`{"aps":{"alert":"x"}}`), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
	if _, err := conn.Write(n.Append(nil)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the notification", func() bool { return w.service.bridge.Stats().Apps["demo"].Taken == 1 })
	conn.Close() // whom the gateway would wait for
	w.stop()
	w.start()
	if got := w.sim.Stats().Received; got != 0 {
		t.Errorf("APNs has heard of %d", got)
	}
	w.write("push.pem", good)
	w.reload()
	w.await("what has waited", func(s apnssim.Stats) bool { return s.Received == 1 })
}

// A container has its key in a variable: as PEM, with its line ends lost, or in
// base64. Nothing that is said shows it.
func TestKeyInAVariable(t *testing.T) {
	block, _ := pem.Decode(pki().TokenKey)
	for name, text := range map[string]string{
		"PEM":         string(pki().TokenKey),
		"written out": strings.ReplaceAll(string(pki().TokenKey), "\n", `\n`),
		"one line":    strings.ReplaceAll(string(pki().TokenKey), "\n", " "),
		"base64":      base64.StdEncoding.EncodeToString(block.Bytes),
		"cut":         string(pki().TokenKey[:100]),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, apnssim.Scenario{})
			w.stop()
			t.Setenv("P8", text)
			w.amend("key: AuthKey_DEVELOPER.p8", "key: ${P8}")
			code, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
			if (code == exitOK) != (name != "cut") || strings.Contains(stdout+stderr, text[40:70]) {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if code == exitOK {
				w.start()
				w.send(0, w.dial(w.clientTLS()))
			}
		})
	}
}
