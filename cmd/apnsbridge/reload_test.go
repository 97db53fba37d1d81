package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
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

// reload does what SIGHUP does.
func (w *world) reload() {
	w.t.Helper()
	if err := w.service.reload(); err != nil {
		w.t.Fatalf("reload: %v", err)
	}
}

// pinned issues a client certificate, and gives the rule that admits it and how
// its owner connects.
func (w *world) pinned() (rule string, config *tls.Config) {
	w.t.Helper()
	pair, err := pki().Issue(devpki.ClientOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		w.t.Fatal(err)
	}
	config = w.clientTLS()
	config.Certificates = []tls.Certificate{certificate}
	return fmt.Sprintf("{sha256: %x}", sha256.Sum256(pair.Leaf.Raw)), config
}

// dial connects a provider until the end of the test.
func (w *world) dial(config *tls.Config) *provider.Conn {
	w.t.Helper()
	conn, err := w.tryDial(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// tryDial also learns of a refusal that comes after the handshake, as it does
// in TLS 1.3.
func (w *world) tryDial(config *tls.Config) (*provider.Conn, error) {
	conn, err := provider.Dial(w.t.Context(), w.push, config)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	conn.SetReadDeadline(time.Time{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("the gateway ends the connection: %w", err)
	}
	return conn, nil
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

// changeSomething reloads with one of several changes, or tries to.
func (w *world) changeSomething(n int) error {
	broken := false
	switch n % 6 {
	case 0:
		w.amend("topic: "+demoTopic, "push_type: alert\n    topic: "+demoTopic)
	case 1:
		w.amend("push_type: alert\n", "on_bad_token: report\n")
	case 2: // new connections to APNs
		w.amend("key_id: DEVELOPER1", "key_id: DEVELOPER2")
		w.amend("on_bad_token: report\n    ", "")
	case 3:
		w.amend("apps:", "limits: {window: x}\napps:")
		broken = true
	case 4:
		w.amend("limits: {window: x}\n", "")
		w.amend("key_id: DEVELOPER2", "key_id: DEVELOPER1")
		w.write("server.pem", strangers().Server.CertPEM)
		broken = true
	case 5:
		w.write("server-key.pem", strangers().Server.KeyPEM)
		if err := w.service.reload(); err != nil {
			return err
		}
		w.write("server.pem", pki().Server.CertPEM)
		w.write("server-key.pem", pki().Server.KeyPEM)
	}
	if err := w.service.reload(); (err != nil) != broken {
		return fmt.Errorf("reload %d: got error %v, and its file is broken: %v", n, err, broken)
	}
	return nil
}

// paced lets so many notifications through in a second.
func paced(rate int) func(context.Context) error {
	start, n := time.Now(), 0
	return func(ctx context.Context) error {
		n++
		select {
		case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate)))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// numbered are notifications to devices of their own, until there are enough.
func numbered(sender int, enough *atomic.Bool) iter.Seq[binproto.Notification] {
	return func(yield func(binproto.Notification) bool) {
		for i := 0; !enough.Load(); i++ {
			n := binproto.Notification{Command: binproto.Enhanced, Token: unhex(token(fmt.Sprintf("%02x", 0x20+sender), i)), Payload: []byte(`{"aps":{"alert":"x"}}`), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
			if !yield(n) {
				return
			}
		}
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

// A pin that is new admits, one that is gone does not, not even with a TLS
// session from before.
func TestReloadIdentities(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	oldRule, oldcomer := w.pinned()
	newRule, newcomer := w.pinned()
	oldcomer.MaxVersion = tls.VersionTLS12 // those have tickets
	oldcomer.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	w.amend("{ca: ca.pem, uid: com.example.demo}", oldRule)
	w.reload()
	w.dial(oldcomer)
	if again := w.dial(oldcomer); !again.ConnectionState().DidResume {
		t.Fatal("the TLS session was not resumed: the test shows less than it says")
	}
	if _, err := w.tryDial(newcomer); err == nil {
		t.Error("the new client was admitted before the reload")
	}

	w.amend(oldRule, newRule)
	w.reload()
	w.send(0, w.dial(newcomer))
	if _, err := w.tryDial(oldcomer); err == nil {
		t.Error("the client whose pin is gone was admitted")
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

// The providers of an app that is gone are told, and what they sent before is
// delivered; those of other apps see nothing of it.
func TestReloadRemovesApp(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}})
	rule, leaver := w.pinned()
	settings, err := os.ReadFile(w.path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, app, _ := bytes.Cut(settings, []byte("  demo:\n"))
	second := "  second:\n" + strings.Replace(string(app), "{ca: ca.pem, uid: com.example.demo}", rule, 1)
	w.write("apnsbridge.yaml", append(settings, second...))
	w.reload()
	staying, leaving := w.dial(w.clientTLS()), w.dial(leaver)
	w.send(0, staying, leaving)
	if _, err := leaving.Write(enhanced(token("22", 7), 7)); err != nil {
		t.Fatal(err)
	}
	w.await("the last one is with APNs", func(s apnssim.Stats) bool { return s.Received == 3 })

	w.write("apnsbridge.yaml", settings)
	w.reload()
	leaving.SetReadDeadline(time.Now().Add(30 * time.Second))
	answer, err := leaving.ReadResponse()
	switch {
	case err == nil && answer.Status == binproto.Shutdown && (answer.Identifier == 1 || answer.Identifier == 7): // the last that is settled
	case errors.Is(err, io.EOF):
	default:
		t.Errorf("the provider of the app that is gone reads %v and error %v, want status 10 behind 1 or 7, or an orderly end", answer, err)
	}
	w.await("the last one is delivered", func(s apnssim.Stats) bool { return s.Accepted == 3 })
	if _, err := w.tryDial(leaver); err == nil {
		t.Error("a client of the app that is gone was admitted")
	}
	w.send(10, staying, w.dial(w.clientTLS()))
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
