package server

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
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/devpki"
)

// asApple makes the world's simulator act as both of Apple's endpoints: the app connects to
// their names, through a proxy that leads to the simulator.
func (w *world) asApple(scenario apnssim.Scenario) {
	w.T.Helper()
	own, err := authority.Open(w.Dir)
	if err != nil {
		w.T.Fatal(err)
	}
	hosts := []string{"api.push.apple.com", "api.sandbox.push.apple.com"}
	if _, err := own.IssueServer("apple", hosts, authority.ECDSA, time.Now()); err != nil {
		w.T.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(w.Path("apple.pem"), w.Path("apple-key.pem"))
	if err != nil {
		w.T.Fatal(err)
	}
	w.Sim.Close()
	sim, err := apnssim.Start(apnssim.Config{Certificate: pair, Scenario: scenario})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { sim.Close() })
	w.Sim = sim
	w.Amend("endpoint: ", "proxy: http://"+startTunnel(w.T, w.Sim.Addr())+"\n    # ")
}

// startTunnel starts a proxy that connects to one address, whatever is asked for.
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

// writeKey creates a signing key of the demo's team in AuthKey_KEYID.p8, and returns it as the
// simulator needs it.
func (w *world) writeKey(keyID string) apnssim.Key {
	w.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.T.Fatal(err)
	}
	p8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	w.Write("AuthKey_"+keyID+".p8", p8)
	return apnssim.Key{KeyID: keyID, TeamID: "DEMOTEAM01", PEM: string(p8)}
}

func keySetting(keyID string) string {
	return fmt.Sprintf("{key: AuthKey_%s.p8, key_id: %[1]s, team_id: DEMOTEAM01}", keyID)
}

const demoToken = "token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}"

// An app with a key for each environment works, from check to the phone: a wrong file is an
// alarm for its environment only, a reload puts it right, and both credentials are shown
// wherever credentials are.
func TestKeyForEachEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	production, sandbox := w.writeKey("PRODUCTION"), w.writeKey("SANDBOX123")
	production.Environment, sandbox.Environment = apnssim.Production, apnssim.Sandbox
	w.asApple(apnssim.Scenario{Keys: []apnssim.Key{production, sandbox}})
	w.Amend("topic:", "environment: by-listener\n    topic:")
	w.Amend(demoToken,
		"production: {token: "+keySetting("PRODUCTION")+"}\n      sandbox: {token: "+keySetting("GONE123456")+"}")
	sandboxPort := w.Hold()
	w.Amend(`gateway: {listen: "127.0.0.1:0"}`,
		`gateway: {listen: ["127.0.0.1:0", {address: "`+sandboxPort+`", environment: sandbox}]}`)

	check := func(want int, says ...string) {
		t.Helper()
		code, stdout, stderr := w.check(CheckOptions{Connect: true})
		for _, say := range says {
			if !strings.Contains(stdout+stderr, say) {
				t.Errorf("check does not say %q:\n%s%s", say, stdout, stderr)
			}
		}
		if code != want {
			t.Errorf("check ends with %d, want %d\n%s%s", code, want, stdout, stderr)
		}
	}
	check(servertest.Failed, "alarm: apps.demo.credential.sandbox: open ", "AuthKey_GONE123456.p8",
		"; APNs takes it for com.example.demo in production\n", "apps.demo, sandbox: APNs is not asked: the app has no credential of use for that\n")
	w.Start()
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK ||
		!strings.Contains(body, "credential.sandbox") {
		t.Errorf("/readyz answers %d %s; want ready, with the problem", status, body)
	}
	conn := w.Dial(w.ClientTLS())
	w.Send(0, conn)
	push := w.Push
	w.Push = sandboxPort
	waiting := w.Dial(w.ClientTLS())
	if _, err := waiting.Write(servertest.Enhanced(servertest.Token("22", 1), 1)); err != nil {
		t.Fatal(err)
	}
	w.Push = push

	w.Amend("GONE123456", "SANDBOX123")
	w.Amend("GONE123456", "SANDBOX123")
	check(servertest.OK,
		"production: token key PRODUCTION of team DEMOTEAM01, sandbox: token key SANDBOX123 of team DEMOTEAM01; "+
			"APNs takes it for com.example.demo in production, for com.example.demo in sandbox\n")
	w.reload()
	w.Await("what waited for sandbox", func(s apnssim.Stats) bool { return s.Accepted == 2 })
	w.Send(10, conn, waiting)
	if _, words := w.showPage(t); !strings.Contains(words, "sandbox: token key SANDBOX123 of team DEMOTEAM01") {
		t.Errorf("the page says %s", words)
	}

	// With the keys exchanged, each is refused in the environment that it is not for.
	w.Amend("sandbox: {token: "+keySetting("SANDBOX123"), "sandbox: {token: "+keySetting("PRODUCTION"))
	check(servertest.Failed, "apps.demo, sandbox: ",
		"403 BadEnvironmentKeyInToken: the key PRODUCTION is for production alone: "+
			"give each environment its own, under credential.production and credential.sandbox")

	// If a file is broken later, the app keeps the credential that it had.
	w.Amend("sandbox: {token: "+keySetting("PRODUCTION"), "sandbox: {token: "+keySetting("SANDBOX123"))
	w.Write("AuthKey_SANDBOX123.p8", []byte("cut"))
	w.reload()
	w.Send(20, conn, waiting)
	if got := w.service.current.Load().kept["demo"]; got == nil ||
		!strings.Contains(got.Error(), "apps.demo.credential.sandbox: ") {
		t.Errorf("got %v, want the reason why the sandbox keeps its credential", got)
	}
}

// The expiry of a push certificate for one environment is reported by its own setting.
func TestExpiryOfOneEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: story.Topic, NotAfter: time.Now().Add(10 * day)})
	if err != nil {
		t.Fatal(err)
	}
	w.Write("push.pem", append(pair.CertPEM, pair.KeyPEM...))
	w.Amend("topic:", "environment: by-listener\n    topic:")
	w.Amend(demoToken, "production: {"+demoToken+"}\n      sandbox: {certificate: {file: push.pem}}")
	w.reload()
	w.service.warn()
	if want := "the push certificate of apps.demo.credential.sandbox expires on "; !strings.Contains(w.Log.String(),
		want) {
		t.Errorf("the log has no %q:\n%s", want, w.Log.String())
	}
	want := float64(pair.Leaf.NotAfter.Unix())
	if got := w.Metric(t, `apnsbridge_credential_expiry_timestamp_seconds{app="demo"}`); got != want {
		t.Errorf("the metric says %v, want %v", got, want)
	}
	_, words := w.showPage(t)
	if want := "sandbox: certificate until " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly); !strings.Contains(words,
		want) {
		t.Errorf("the page has no %q: %s", want, words)
	}
}

// Two topics from the providers' certificates, with a key each.
func TestKeyForEachTopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	demo, other := w.writeKey("DEMOKEY123"), w.writeKey("OTHERKEY12")
	demo.Topics, other.Topics = []string{story.Topic}, []string{"com.example.other"}
	if err := w.Sim.SetScenario(apnssim.Scenario{Keys: []apnssim.Key{demo, other}}); err != nil {
		t.Fatal(err)
	}
	with := func(id, topic string) string { return strings.Replace(keySetting(id), "}", ", topics: "+topic+"}", 1) }
	keys := "token:\n        - " + with("DEMOKEY123", story.Topic) + "\n        - " +
		with("OTHERKEY12", "com.example.other")
	w.Amend("topic: "+story.Topic, "topic: from-certificate")
	w.Amend(demoToken, keys)
	w.Amend("{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem, any: true}")
	code, stdout, stderr := w.check(CheckOptions{Connect: true})
	for _, say := range []string{"for com.example.demo in production, for com.example.other in production\n",
		"token key OTHERKEY12 of team DEMOTEAM01 for com.example.other"} {
		if !strings.Contains(stdout, say) || code != servertest.OK {
			t.Errorf("check ends with %d and does not say %q:\n%s%s", code, say, stdout, stderr)
		}
	}
	w.reload()
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: "com.example.other"})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conns := w.Dial(w.ClientTLS())
	w.Send(0, conns, w.Dial(w.as(&certificate)))
	topics := make(map[string]int)
	for _, p := range w.Sim.Received(0).Pushes {
		if p.Status == 200 {
			topics[p.Topic]++
		}
	}
	if topics[story.Topic] != 1 || topics["com.example.other"] != 1 {
		t.Errorf("got accepted notifications by topic %v, want 1 each", topics)
	}

	// An app whose topic none of its keys is for.
	w.Amend("topic: from-certificate", "topic: com.example.third")
	code, stdout, stderr = w.check(CheckOptions{})
	if want := "no key for production is for the topic com.example.third"; !strings.Contains(stdout+stderr, want) {
		t.Errorf("check ends with %d and does not say %q:\n%s%s", code, want, stdout, stderr)
	}
}
