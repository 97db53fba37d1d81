package server

import (
	"context"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// Providers send all the time while the configuration is reloaded again and again, with
// new settings, new credentials, new certificates and new mistakes: no provider loses its
// connection, and no notification is lost or delivered twice.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const providers, reloads = 4, 30
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 5, Jitter: 20}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var enough atomic.Bool
	var all sync.WaitGroup
	var given atomic.Int64
	reports := make([]provider.Report, providers)
	for i := range providers {
		all.Go(func() {
			c := provider.Client{Addr: w.Push, TLS: w.ClientTLS(), Number: true}
			var err error
			if reports[i], err = c.Send(ctx, w.followed(&given, paced(1000, numbered(i, &enough)))); err != nil {
				t.Errorf("provider %d: %v", i, err)
			}
		})
	}
	for n := range reloads {
		before := w.Sim.Stats().Accepted
		if err := w.changeSomething(n); err != nil {
			t.Error(err)
			break
		}
		w.Await("notifications after a reload", func(s apnssim.Stats) bool { return s.Accepted >= before+20 })
	}
	enough.Store(true)
	all.Wait()
	total := 0
	for i, r := range reports {
		if total += r.Taken; r.Connections != 1 || r.Packets != 0 || r.Uncertain != 0 || r.Failed != 0 {
			t.Errorf("provider %d: got %+v, want one connection and nothing failed", i, r)
		}
	}
	w.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= total })
	if s := w.Sim.Stats(); s.Accepted != total || s.Duplicates != 0 {
		t.Errorf("APNs accepted %d with %d duplicates, want %d and none", s.Accepted, s.Duplicates, total)
	}
}

// A file that cannot be used, or that needs a restart, is refused with a reason and
// changes nothing, not even by what is good in it.
func TestReloadRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	old := w.Dial(w.ClientTLS())
	settings, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rule, newcomer := w.Pinned()
	w.Write("garbage", []byte("garbage"))
	w.Write("stranger.pem", servertest.Strangers().Server.CertPEM)
	const restart = " need a restart: restart the gateway, or take them back and reload"
	for i, tt := range []struct{ name, old, with, want string }{
		{"unknown key", "gateway:", "gatway:", `apnsbridge.yaml:1: unknown key "gatway"`},
		{"unreadable key", "AuthKey_DEVELOPER.p8", "garbage", "apps.demo.credential: " + w.Path("garbage") +
			": the file is neither PEM"},
		{"no such file", "AuthKey_DEVELOPER.p8", "gone.p8", "apps.demo.credential: open " + w.Path("gone.p8") +
			": no such file"},
		{"certificate of another key", "certificate: server.pem", "certificate: stranger.pem", "tls.certificate " +
			w.Path("stranger.pem") + " with tls.key " + w.Path("server-key.pem") + ": the key is not the certificate's"},
		{"listener", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: ["127.0.0.1:0", "127.0.0.2:0"]}`,
			"changes to gateway.listen" + restart},
		{"feedback listener", `feedback: {listen: "127.0.0.1:0"}`, `feedback: {listen: "127.0.0.2:0"}`,
			"changes to feedback.listen" + restart},
		{"store", "tls:", "store: {path: elsewhere}\ntls:", "changes to store.path" + restart},
		{"versions", "tls: {", `tls: {min_version: "1.0", `, "changes to tls.min_version" + restart},
		{"bounds", "tls:", "limits: {window: 10, drain: 5s, connections: 10}\ntls:",
			"changes to limits.connections, limits.window" + restart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(string(settings), tt.old, tt.with, 1)
			if text == string(settings) {
				t.Fatal("the case changes nothing")
			}
			w.Write("apnsbridge.yaml", []byte(strings.Replace(text, "{ca: ca.pem, uid: com.example.demo}", rule, 1)))
			before := w.Log.String()
			w.service.hangup()
			said := strings.TrimPrefix(w.Log.String(), before)
			if quoted := strings.ReplaceAll(tt.want, `"`, `\"`); !strings.Contains(said, quoted) ||
				!strings.Contains(said, "reload refused: everything stays as it was") {
				t.Errorf("the log says %q, want %q in it", said, tt.want)
			}
			if _, err := w.TryDial(newcomer); err == nil {
				t.Error("a client of the refused file was admitted")
			}
			w.Send(2*i, old, w.Dial(w.ClientTLS()))
		})
	}
}

// The server certificate is read from its files at a reload, and without one as soon as
// both files have changed and belong together.
func TestReloadServerCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	connected := w.Dial(w.ClientTLS())
	trusting := w.ClientTLS()
	trusting.RootCAs = servertest.Strangers().Pool()
	trusting.RootCAs.AddCert(servertest.PKI().CA.Leaf)
	shows := func(want devpki.Pair, when string) {
		t.Helper()
		if got := w.Dial(trusting).ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("%s: the gateway shows the certificate with serial number %v, want %v", when, got.SerialNumber,
				want.Leaf.SerialNumber)
		}
	}
	warnings := func() int {
		return strings.Count(w.Log.String(), "cannot be used: the old certificate stays")
	}
	ours, theirs := servertest.PKI().Server, servertest.Strangers().Server

	w.service.renewCertificates()
	shows(ours, "nothing has changed")
	w.Write("server.pem", theirs.CertPEM)
	w.service.renewCertificates()
	w.service.renewCertificates()
	shows(ours, "half of the pair has changed")
	if got := warnings(); got != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", got, w.Log.String())
	}
	w.Write("server-key.pem", theirs.KeyPEM)
	w.service.renewCertificates()
	shows(theirs, "both have changed")

	w.Write("server.pem", ours.CertPEM)
	w.Write("server-key.pem", ours.KeyPEM)
	w.reload()
	shows(ours, "a reload")
	if err := os.Remove(w.Path("server.pem")); err != nil {
		t.Fatal(err)
	}
	w.service.renewCertificates()
	shows(ours, "the file is gone")
	if got := warnings(); got != 2 {
		t.Errorf("got %d warnings, want 2:\n%s", got, w.Log.String())
	}
	w.Send(0, connected)
}

// A running gateway looks at the files of its certificates by itself.
func TestCertificateIsPolled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.service.poll = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.service.run(ctx, nil, &systemd{}) }()
	w.Write("server.pem", servertest.Strangers().Server.CertPEM)
	w.Write("server-key.pem", servertest.Strangers().Server.KeyPEM)
	servertest.WaitFor(t, "the new certificate is taken", func() bool {
		return w.service.current.Load().certificate.Leaf.Equal(servertest.Strangers().Server.Leaf)
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.Gone()
}

// The results of reloads are in the metrics.
func TestReloadMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	at := time.Unix(1_800_000_000, 0)
	w.now = func() time.Time { return at }
	w.Start()
	check := func(when string, taken, refused, last, loaded float64) {
		t.Helper()
		for name, want := range map[string]float64{
			`apnsbridge_reloads_total{result="taken"}`:          taken,
			`apnsbridge_reloads_total{result="refused"}`:        refused,
			`apnsbridge_last_reload_refused`:                    last,
			`apnsbridge_configuration_loaded_timestamp_seconds`: loaded,
		} {
			if got := w.Metric(t, name); got != want {
				t.Errorf("%s: %s is %v, want %v", when, name, got, want)
			}
		}
	}
	check("at the start", 0, 0, 0, 1_800_000_000)
	at = at.Add(time.Hour)
	w.Amend("apps:", "limits: {window: x}\napps:")
	w.service.hangup()
	w.service.hangup()
	check("a file of no use", 0, 2, 1, 1_800_000_000)
	w.Amend("limits: {window: x}\n", "")
	w.service.hangup()
	check("a good one", 1, 2, 0, 1_800_003_600)

	w.Write("server.pem", servertest.Strangers().Server.CertPEM)
	w.service.renewCertificates()
	w.Write("server-key.pem", servertest.Strangers().Server.KeyPEM)
	w.service.renewCertificates()
	w.service.renewCertificates()
	for _, result := range []string{"taken", "refused"} {
		if got := w.Metric(t, `apnsbridge_certificate_reloads_total{result="`+result+`",section="tls"}`); got != 1 {
			t.Errorf("certificate reloads that were %s: got %v, want 1", result, got)
		}
	}
}

// All names in reloadable are settings.
func TestReloadableSettings(t *testing.T) {
	all := make(map[string]bool)
	for _, section := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		name := section.Tag.Get("yaml")
		all[name] = section.Type.Kind() != reflect.Struct
		if section.Type.Kind() == reflect.Struct {
			for _, setting := range reflect.VisibleFields(section.Type) {
				all[name+"."+setting.Tag.Get("yaml")] = true
			}
		}
	}
	for _, name := range reloadable {
		if !all[name] {
			t.Errorf("there is no setting %s", name)
		}
	}
}
