package main

import (
	"context"
	"crypto/tls"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// strangers is the PKI of somebody else.
var strangers = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create("com.example.strange")
	if err != nil {
		panic(err)
	}
	return p
})

// dial connects a provider until the end of the test.
func (w *world) dial(config *tls.Config) *provider.Conn {
	w.t.Helper()
	conn, err := w.tryDial(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// send writes a notification of its own to each of the connections, and fails
// the test unless APNs accepts them all.
func (w *world) send(first int, conns ...*provider.Conn) {
	w.t.Helper()
	before := w.sim.Stats().Accepted
	for i, c := range conns {
		if _, err := c.Write(enhanced(token("21", first+i), first+i)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.await("notifications after a reload", func(s apnssim.Stats) bool { return s.Accepted >= before+len(conns) })
}

// Providers send all the time while the configuration is reloaded again and
// again, with new settings, new credentials, new certificates and new faults:
// none loses its connection, nothing is lost, nothing doubled.
func TestReloadUnderLoad(t *testing.T) {
	const providers, reloads = 4, 30
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 5, Jitter: 20}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var enough atomic.Bool
	var all sync.WaitGroup
	reports := make([]provider.Report, providers)
	for i := range providers {
		all.Go(func() {
			c := provider.Client{Addr: w.push, TLS: w.clientTLS(), Number: true, Wait: paced(1000)}
			var err error
			if reports[i], err = c.Send(ctx, numbered(i, &enough)); err != nil {
				t.Errorf("provider %d: %v", i, err)
			}
		})
	}
	for n := range reloads {
		before := w.sim.Stats().Accepted
		if err := w.changeSomething(n); err != nil {
			t.Error(err)
			break
		}
		w.await("notifications after a reload", func(s apnssim.Stats) bool { return s.Accepted >= before+20 })
	}
	enough.Store(true)
	all.Wait()
	total := 0
	for i, r := range reports {
		if total += r.Taken; r.Connections != 1 || r.Packets != 0 || r.Uncertain != 0 || r.Failed != 0 {
			t.Errorf("provider %d: got %+v, want one connection and nothing failed", i, r)
		}
	}
	w.await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= total })
	if s := w.sim.Stats(); s.Accepted != total || s.Duplicates != 0 {
		t.Errorf("APNs accepted %d with %d duplicates, want %d and none", s.Accepted, s.Duplicates, total)
	}
}

// A file that is of no use, or that asks for what only a restart can do, is
// refused with its reason, and changes nothing: not even what is good in it.
func TestReloadRefusals(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	old := w.dial(w.clientTLS())
	settings, err := os.ReadFile(w.path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rule, newcomer := w.pinned()
	w.write("garbage", []byte("garbage"))
	w.write("stranger.pem", strangers().Server.CertPEM)
	const restart = " need a restart: restart the gateway, or take them back and reload"
	for i, tt := range []struct{ name, old, with, want string }{
		{"unknown key", "gateway:", "gatway:", `apnsbridge.yaml:1: unknown key "gatway"`},
		{"unreadable key", "AuthKey_DEVELOPER.p8", "garbage", "apps.demo.credential: " + w.path("garbage") + ": the file is neither PEM"},
		{"no such file", "AuthKey_DEVELOPER.p8", "gone.p8", "apps.demo.credential: open " + w.path("gone.p8") + ": no such file"},
		{"certificate of another key", "certificate: server.pem", "certificate: stranger.pem", "tls.certificate " + w.path("stranger.pem") + " with tls.key " + w.path("server-key.pem") + ": the key is not the certificate's"},
		{"listener", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: ["127.0.0.1:0", "127.0.0.2:0"]}`, "changes to gateway.listen" + restart},
		{"feedback listener", `feedback: {listen: "127.0.0.1:0"}`, `feedback: {listen: "127.0.0.2:0"}`, "changes to feedback.listen" + restart},
		{"store", "tls:", "store: {path: elsewhere}\ntls:", "changes to store.path" + restart},
		{"versions", "tls: {", `tls: {min_version: "1.0", `, "changes to tls.min_version" + restart},
		{"bounds", "tls:", "limits: {window: 10, drain: 5s, connections: 10}\ntls:", "changes to limits.connections, limits.window" + restart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(string(settings), tt.old, tt.with, 1)
			if text == string(settings) {
				t.Fatal("the case changes nothing")
			}
			w.write("apnsbridge.yaml", []byte(strings.Replace(text, "{ca: ca.pem, uid: com.example.demo}", rule, 1)))
			before := w.log.String()
			w.service.hangup()
			said := strings.TrimPrefix(w.log.String(), before)
			if quoted := strings.ReplaceAll(tt.want, `"`, `\"`); !strings.Contains(said, quoted) || !strings.Contains(said, "reload refused: everything stays as it was") {
				t.Errorf("the log says %q, want %q in it", said, tt.want)
			}
			if _, err := w.tryDial(newcomer); err == nil {
				t.Error("a client was admitted by the file that was refused")
			}
			w.send(2*i, old, w.dial(w.clientTLS()))
		})
	}
}

// The server certificate is taken from its files by a reload, and without one
// when both have changed and belong together.
func TestReloadServerCertificate(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	connected := w.dial(w.clientTLS())
	trusting := w.clientTLS()
	trusting.RootCAs = strangers().Pool()
	trusting.RootCAs.AddCert(pki().CA.Leaf)
	shows := func(want devpki.Pair, when string) {
		t.Helper()
		if got := w.dial(trusting).ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("%s: the gateway shows the certificate with serial number %v, want %v", when, got.SerialNumber, want.Leaf.SerialNumber)
		}
	}
	warnings := func() int {
		return strings.Count(w.log.String(), "are of no use: the old certificate stays")
	}
	ours, theirs := pki().Server, strangers().Server

	w.service.renewCertificates()
	shows(ours, "nothing has changed")
	w.write("server.pem", theirs.CertPEM)
	w.service.renewCertificates()
	w.service.renewCertificates()
	shows(ours, "half of the pair has changed")
	if got := warnings(); got != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", got, w.log.String())
	}
	w.write("server-key.pem", theirs.KeyPEM)
	w.service.renewCertificates()
	shows(theirs, "both have changed")

	w.write("server.pem", ours.CertPEM)
	w.write("server-key.pem", ours.KeyPEM)
	w.reload()
	shows(ours, "a reload")
	if err := os.Remove(w.path("server.pem")); err != nil {
		t.Fatal(err)
	}
	w.service.renewCertificates()
	shows(ours, "the file is gone")
	if got := warnings(); got != 2 {
		t.Errorf("got %d warnings, want 2:\n%s", got, w.log.String())
	}
	w.send(0, connected)
}

// A gateway that runs looks at the files by itself.
func TestCertificateIsPolled(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.service.poll = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.service.run(ctx, nil, &systemd{}) }()
	w.write("server.pem", strangers().Server.CertPEM)
	w.write("server-key.pem", strangers().Server.KeyPEM)
	waitFor(t, "the new certificate is taken", func() bool {
		return w.service.current.Load().certificate.Leaf.Equal(strangers().Server.Leaf)
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.service = nil
}

// What became of reloads is in the metrics.
func TestReloadMetrics(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	at := time.Unix(1_800_000_000, 0)
	w.now = func() time.Time { return at }
	w.start()
	check := func(when string, taken, refused, last, loaded float64) {
		t.Helper()
		for name, want := range map[string]float64{
			`apnsbridge_reloads_total{result="taken"}`:          taken,
			`apnsbridge_reloads_total{result="refused"}`:        refused,
			`apnsbridge_last_reload_refused`:                    last,
			`apnsbridge_configuration_loaded_timestamp_seconds`: loaded,
		} {
			if got := w.metric(t, name); got != want {
				t.Errorf("%s: %s is %v, want %v", when, name, got, want)
			}
		}
	}
	check("at the start", 0, 0, 0, 1_800_000_000)
	at = at.Add(time.Hour)
	w.amend("apps:", "limits: {window: x}\napps:")
	w.service.hangup()
	w.service.hangup()
	check("a file of no use", 0, 2, 1, 1_800_000_000)
	w.amend("limits: {window: x}\n", "")
	w.service.hangup()
	check("a good one", 1, 2, 0, 1_800_003_600)

	w.write("server.pem", strangers().Server.CertPEM)
	w.service.renewCertificates()
	w.write("server-key.pem", strangers().Server.KeyPEM)
	w.service.renewCertificates()
	w.service.renewCertificates()
	for _, result := range []string{"taken", "refused"} {
		if got := w.metric(t, `apnsbridge_certificate_reloads_total{result="`+result+`",section="tls"}`); got != 1 {
			t.Errorf("certificates %s: got %v, want 1", result, got)
		}
	}
}
