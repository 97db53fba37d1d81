package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/gateway/devpki"
)

// asApple makes of the world's simulator both of Apple's endpoints: the app goes to
// their names, through a proxy that leads there.
func (w *world) asApple(scenario apnssim.Scenario) {
	w.t.Helper()
	own, err := authority.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	hosts := []string{"api.push.apple.com", "api.sandbox.push.apple.com"}
	if _, err := own.IssueServer("apple", hosts, authority.ECDSA, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(w.path("apple.pem"), w.path("apple-key.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.sim.Close()
	if w.sim, err = apnssim.Start(apnssim.Config{Certificate: pair, Scenario: scenario}); err != nil {
		w.t.Fatal(err)
	}
	w.amend("endpoint: ", "proxy: http://"+startTunnel(w.t, w.sim.Addr())+"\n    # ")
}

// startTunnel is a proxy that leads to one address, whatever is asked for.
func startTunnel(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	over, end := context.WithCancel(context.Background())
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer context.AfterFunc(over, func() { c.Close() })()
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer to.Close()
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				serving.Go(func() {
					io.Copy(to, c)
					to.Close()
				})
				io.Copy(c, to)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		end()
		serving.Wait()
	})
	return l.Addr().String()
}

// writeKey makes a signing key of the demo's team in KEYID.p8, and gives it as the
// simulator knows it.
func (w *world) writeKey(keyID string) apnssim.Key {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	p8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	w.write("AuthKey_"+keyID+".p8", p8)
	return apnssim.Key{KeyID: keyID, TeamID: "DEMOTEAM01", PEM: string(p8)}
}

func keySetting(keyID string) string {
	return fmt.Sprintf("{key: AuthKey_%s.p8, key_id: %[1]s, team_id: DEMOTEAM01}", keyID)
}

const demoToken = "token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}"

// An app with a key for each environment, from check to the phone: a wrong file is an
// alarm of that environment alone, a reload puts it right, and all is told where a
// credential is.
func TestKeyForEachEnvironment(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	production, sandbox := w.writeKey("PRODUCTION"), w.writeKey("SANDBOX123")
	production.Environment, sandbox.Environment = apnssim.Production, apnssim.Sandbox
	w.asApple(apnssim.Scenario{Keys: []apnssim.Key{production, sandbox}})
	w.amend("topic:", "environment: by-listener\n    topic:")
	w.amend(demoToken, "production: {token: "+keySetting("PRODUCTION")+"}\n      sandbox: {token: "+keySetting("GONE123456")+"}")
	sandboxPort := w.hold()
	w.amend(`gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: ["127.0.0.1:0", {address: "`+sandboxPort+`", environment: sandbox}]}`)

	check := func(want int, says ...string) {
		t.Helper()
		code, stdout, stderr := w.apnsbridge("", "check", "--connect", "--config", w.path("apnsbridge.yaml"))
		for _, say := range says {
			if !strings.Contains(stdout+stderr, say) {
				t.Errorf("check does not say %q:\n%s%s", say, stdout, stderr)
			}
		}
		if code != want {
			t.Errorf("check ends with %d, want %d\n%s%s", code, want, stdout, stderr)
		}
	}
	check(exitFailed, "alarm: apps.demo.credential.sandbox: open ", "AuthKey_GONE123456.p8",
		"; APNs takes it for com.example.demo in production\n", "apps.demo, sandbox: cannot reach APNs")
	w.start()
	if status, body := w.ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || !strings.Contains(body, "credential.sandbox") {
		t.Errorf("readyz answers %d %s; want ready, with the problem", status, body)
	}
	conn := w.dial(w.clientTLS())
	w.send(0, conn)
	push := w.push
	w.push = sandboxPort
	waiting := w.dial(w.clientTLS())
	if _, err := waiting.Write(enhanced(token("22", 1), 1)); err != nil {
		t.Fatal(err)
	}
	w.push = push

	w.amend("GONE123456", "SANDBOX123")
	w.amend("GONE123456", "SANDBOX123")
	check(exitOK, "production: token key PRODUCTION of team DEMOTEAM01, sandbox: token key SANDBOX123 of team DEMOTEAM01; "+
		"APNs takes it for com.example.demo in production, for com.example.demo in sandbox\n")
	w.reload()
	w.await("what waited for sandbox", func(s apnssim.Stats) bool { return s.Accepted == 2 })
	w.send(10, conn, waiting)
	if _, words := w.showPage(t); !strings.Contains(words, "sandbox: token key SANDBOX123 of team DEMOTEAM01") {
		t.Errorf("the page says %s", words)
	}

	// The keys exchanged: each is refused where it is not for.
	w.amend("sandbox: {token: "+keySetting("SANDBOX123"), "sandbox: {token: "+keySetting("PRODUCTION"))
	check(exitFailed, "apps.demo, sandbox: ", "403 BadEnvironmentKeyInToken: the key PRODUCTION is for production alone: "+
		"give each environment its own, under credential.production and credential.sandbox")

	// A file that is broken later: the app keeps what it had.
	w.amend("sandbox: {token: "+keySetting("PRODUCTION"), "sandbox: {token: "+keySetting("SANDBOX123"))
	w.write("AuthKey_SANDBOX123.p8", []byte("cut"))
	w.reload()
	w.send(20, conn, waiting)
	if got := w.service.current.Load().kept["demo"]; got == nil || !strings.Contains(got.Error(), "apps.demo.credential.sandbox: ") {
		t.Errorf("kept: %v", got)
	}
}

// A push certificate of one environment is watched by its own setting.
func TestExpiryOfOneEnvironment(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	pair, err := pki().Issue(devpki.ClientOptions{Topic: demoTopic, NotAfter: time.Now().Add(10 * day)})
	if err != nil {
		t.Fatal(err)
	}
	w.write("push.pem", append(pair.CertPEM, pair.KeyPEM...))
	w.amend("topic:", "environment: by-listener\n    topic:")
	w.amend(demoToken, "production: {"+demoToken+"}\n      sandbox: {certificate: {file: push.pem}}")
	w.reload()
	w.service.warn()
	if want := "the push certificate of apps.demo.credential.sandbox expires on "; !strings.Contains(w.log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, w.log.String())
	}
	want := float64(pair.Leaf.NotAfter.Unix())
	if got := w.metric(t, `apnsbridge_credential_expiry_timestamp_seconds{app="demo"}`); got != want {
		t.Errorf("the metric says %v, want %v", got, want)
	}
	_, words := w.showPage(t)
	if want := "sandbox: certificate until " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly); !strings.Contains(words, want) {
		t.Errorf("the page has no %q: %s", want, words)
	}
}

// Two topics with a key each, by the providers' certificates.
func TestKeyForEachTopic(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	demo, other := w.writeKey("DEMOKEY123"), w.writeKey("OTHERKEY12")
	demo.Topics, other.Topics = []string{demoTopic}, []string{"com.example.other"}
	if err := w.sim.SetScenario(apnssim.Scenario{Keys: []apnssim.Key{demo, other}}); err != nil {
		t.Fatal(err)
	}
	with := func(id, topic string) string { return strings.Replace(keySetting(id), "}", ", topics: "+topic+"}", 1) }
	keys := "token:\n        - " + with("DEMOKEY123", demoTopic) + "\n        - " + with("OTHERKEY12", "com.example.other")
	w.amend("topic: "+demoTopic, "topic: from-certificate")
	w.amend(demoToken, keys)
	w.amend("{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem, any: true}")
	code, stdout, stderr := w.apnsbridge("", "check", "--connect", "--config", w.path("apnsbridge.yaml"))
	for _, say := range []string{"for com.example.demo in production, for com.example.other in production\n",
		"token key OTHERKEY12 of team DEMOTEAM01 for com.example.other"} {
		if !strings.Contains(stdout, say) || code != exitOK {
			t.Errorf("check ends with %d and does not say %q:\n%s%s", code, say, stdout, stderr)
		}
	}
	w.reload()
	pair, err := pki().Issue(devpki.ClientOptions{Topic: "com.example.other"})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conns := w.dial(w.clientTLS())
	w.send(0, conns, w.dial(w.as(&certificate)))
	topics := make(map[string]int)
	for _, p := range w.sim.Received(0).Pushes {
		if p.Status == 200 {
			topics[p.Topic]++
		}
	}
	if topics[demoTopic] != 1 || topics["com.example.other"] != 1 {
		t.Errorf("accepted by topic: %v", topics)
	}

	// One for a topic that is no key's own, where the app has the topic.
	w.amend("topic: from-certificate", "topic: com.example.third")
	code, stdout, stderr = w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
	if want := "no key for production is for the topic com.example.third"; !strings.Contains(stdout+stderr, want) {
		t.Errorf("check ends with %d and does not say %q:\n%s%s", code, want, stdout, stderr)
	}
}
