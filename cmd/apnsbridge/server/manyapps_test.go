package server

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

// check, and a reload that changes one of five hundred apps with a file each, do not take
// too long for an operator who waits. The bounds here are generous; bench has the figures.
func TestFiveHundredApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.withApps(500)
	start := time.Now()
	code, stdout, stderr := w.check(CheckOptions{})
	t.Logf("check: %v", time.Since(start))
	if code != servertest.OK || !strings.Contains(stdout, "apps: 501, with a token: 501") ||
		strings.Contains(stdout, "app7 ") {
		t.Errorf("got exit code %d and %s%s", code, stdout, stderr)
	}
	w.Start()
	old := w.Dial(w.ClientTLS())
	w.writeApp(7, "sandbox")
	start = time.Now()
	w.service.hangup()
	t.Logf("reload: %v", time.Since(start))
	if want := `"changes":"apps changed: app7"`; !strings.Contains(w.Log.String(), want) {
		t.Errorf("the log has no %s:\n%.2000s", want, w.Log.String())
	}
	w.Send(0, old, w.Dial(w.ClientTLS())) // the other apps are as they were
}

// An app whose credential cannot be used is held, which is reported everywhere; the other
// apps are served.
func TestOneAppIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.withExpired("held")
	w.Start()
	w.service.warn()
	w.Send(0, w.Dial(w.ClientTLS()))
	for where, text := range map[string]string{"log": w.Log.String(),
		"/readyz": fmt.Sprint(w.service.condition(false).problems), "state": fmt.Sprint(w.service.state(false).Remarks)} {
		if strings.Count(text, "apps.held.credential: ") != 1 || !strings.Contains(text, "expired on") {
			t.Errorf("%s does not report the held app exactly once: %s", where, text)
		}
	}
	if !w.service.condition(false).ready {
		t.Error("the gateway is not ready for the other apps")
	}
	code, stdout, stderr := w.check(CheckOptions{})
	if code != servertest.OK || !strings.HasPrefix(stdout, "alarm: apps.held.credential: ") ||
		!strings.Contains(stdout, "no problems, alarms: 1") {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, _, said := w.check(CheckOptions{Connect: true}); !strings.HasSuffix(said,
		"apps.held, production: APNs is not asked: the app has no credential of use for that\n") {
		t.Errorf("check --connect: %s", said)
	}
}

// If no app can be served, that is a problem, which is reported once.
func TestAllAppsAreHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.Amend("AuthKey_DEVELOPER.p8", "gone.p8")
	code, stdout, stderr := w.check(CheckOptions{})
	if code != servertest.Failed || strings.Count(stdout+stderr, "gone.p8") != 1 ||
		!strings.Contains(stdout, "\nproblem  demo  ") {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// withExpired adds an app whose certificate has expired.
func (w *world) withExpired(name string) {
	w.T.Helper()
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: "com.example.chat",
		NotBefore: time.Now().AddDate(-2, 0, 0),
		NotAfter:  time.Now().AddDate(-1, 0, 0)})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Write("expired.pem", append(pair.CertPEM, pair.KeyPEM...))
	w.Amend("apps:\n", "apps:\n  "+name+": {topic: com.example.chat, credential: {certificate: {file: expired.pem}}, clients: [{cidr: 127.0.0.9/32}]}\n")
}

// A reload with a credential that cannot be used keeps the current one, and applies
// everything else that has changed.
func TestReloadKeepsACredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.withCertificate(100 * day)
	w.Stop()
	w.Amend("apps:\n", "apps:\n  other: {topic: com.example.other, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}, clients: [{cidr: 127.0.0.9/32}]}\n")
	w.Start()
	w.Write("push.pem", []byte("garbage"))
	w.Amend("127.0.0.9/32", "127.0.0.8/32")
	outcome := w.service.hangup()
	if outcome.err != nil || !strings.Contains(outcome.changes, "apps changed: other") {
		t.Fatalf("got %+v", outcome)
	}
	want := "until then the app keeps the credential it had"
	if !strings.Contains(w.Log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, w.Log.String())
	}
	if got := fmt.Sprint(outcome.alarms); !strings.Contains(got, want) {
		t.Errorf("the one who asked for the reload is told %q, want %q", got, want)
	}
	w.Write("push.pem", nil)
	if _, err := w.TryDial(w.ClientTLS()); err != nil {
		t.Errorf("the app's provider is refused: %v", err)
	}
}

// The first notification that APNs accepts for an app is logged, once.
func TestFirstAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.service.tellFirsts()
	w.Send(0, w.Dial(w.ClientTLS()))
	servertest.WaitFor(t, "the verdict", func() bool { return w.service.bridge.Stats().Apps["demo"].Accepted == 1 })
	for range 2 {
		w.service.tellFirsts()
	}
	w.service.summarise()
	if got := strings.Count(w.Log.String(), "APNs has accepted the app's first notification"); got != 1 {
		t.Errorf("got %d lines:\n%s", got, w.Log.String())
	}
	w.service.summarise()
	for i, want := range []string{`"taken":1,"accepted":1,`, `"taken":0,"accepted":0,`} {
		if lines := linesWith(w.Log.String(), "the last hour"); len(lines) != 2 || !strings.Contains(lines[i], want) {
			t.Errorf("summary %d has no %s:\n%s", i, want, w.Log.String())
		}
	}
}

// Notifications of a held app wait, even over a restart, and are delivered when the
// credential is good.
func TestHeldNotificationsGoAfterReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.withCertificate(100 * day)
	good, err := os.ReadFile(w.Path("push.pem"))
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	w.Amend("apps:\n", "apps:\n  other: {topic: com.example.other, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}, clients: [{cidr: 127.0.0.9/32}]}\n")
	w.Amend("tls:", "limits: {drain: 100ms}\ntls:")
	w.Write("push.pem", []byte("garbage"))
	w.Start()
	conn := w.Dial(w.ClientTLS())
	n := binproto.Notification{Command: binproto.Enhanced, Identifier: 1,
		Token: servertest.Unhex(servertest.Token("0a",
			1)), Payload: []byte(`{"aps":{"alert":"x"}}`), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
	if _, err := conn.Write(n.Append(nil)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the notification", func() bool { return w.service.bridge.Stats().Apps["demo"].Taken == 1 })
	conn.Close() // or the gateway would wait for the provider
	w.Stop()
	w.Start()
	if got := w.Sim.Stats().Received; got != 0 {
		t.Errorf("APNs has received %d notifications, want none", got)
	}
	w.Write("push.pem", good)
	w.reload()
	w.Await("what has waited", func(s apnssim.Stats) bool { return s.Received == 1 })
}

// A container has its key in a variable: as PEM, perhaps without line breaks, or in
// base64. No message shows it.
func TestKeyInAVariable(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("key: AuthKey_DEVELOPER.p8", "key: ${P8}")
	block, _ := pem.Decode(servertest.PKI().TokenKey)
	for name, text := range map[string]string{
		"PEM":         string(servertest.PKI().TokenKey),
		"written out": strings.ReplaceAll(string(servertest.PKI().TokenKey), "\n", `\n`),
		"one line":    strings.ReplaceAll(string(servertest.PKI().TokenKey), "\n", " "),
		"base64":      base64.StdEncoding.EncodeToString(block.Bytes),
		"cut":         string(servertest.PKI().TokenKey[:100]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("P8", text)
			code, stdout, stderr := w.check(CheckOptions{})
			if (code == servertest.OK) != (name != "cut") || strings.Contains(stdout+stderr, text[40:70]) {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if code == servertest.OK {
				w.Start()
				conn := w.Dial(w.ClientTLS())
				w.Send(0, conn)
				conn.Close() // or the gateway would wait for the provider
				w.Stop()
			}
		})
	}
}
