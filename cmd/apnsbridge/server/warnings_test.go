package server

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/devpki"
)

// withCertificate gives the demo's app a push certificate that is valid for so long, in
// place of a key.
func (w *world) withCertificate(lasts time.Duration) {
	w.T.Helper()
	w.renewPushCertificate(lasts)
	w.Amend("token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}", "certificate: {file: push.pem}")
}

// renewPushCertificate replaces the file of withCertificate.
func (w *world) renewPushCertificate(lasts time.Duration) {
	w.T.Helper()
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: story.Topic, NotAfter: time.Now().Add(lasts)})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Write("push.pem", append(pair.CertPEM, pair.KeyPEM...))
}

const day = 24 * time.Hour

// A certificate that expires soon is reported in the log once a day, by check, and in
// the metrics.
func TestExpiryWarnings(t *testing.T) {
	t.Parallel()
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
			for line := range strings.Lines(w.Log.String()) {
				if strings.Contains(line, "the push certificate") {
					got = line
				}
			}
			if tt.within == "" {
				if got != "" {
					t.Errorf("got %q, want no warning", got)
				}
			} else if !strings.Contains(got, want) || !strings.Contains(got, tt.within) ||
				!strings.Contains(got, `"level":"`+tt.level+`"`) {
				t.Errorf("got %q, want %q with %s at level %s", got, want, tt.within, tt.level)
			}
			code, stdout, stderr := w.check(CheckOptions{})
			if code != servertest.OK || strings.Contains(stdout, "warning: "+want) != (tt.within != "") {
				t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// A certificate that expires while the gateway runs is still reported, with its date, by the
// gateway's own clock.
func TestExpiredWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.now = func() time.Time { return servertest.PKI().Server.Leaf.NotAfter.Add(day) }
	w.Start()
	w.service.warn()
	if want := w.Path("server.pem") + " expired on " + servertest.PKI().Server.Leaf.NotAfter.Format(time.DateOnly) + ": put a new one and its key in place"; !strings.Contains(w.Log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, w.Log.String())
	}
}

func TestExpiryMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	near := func(got float64, want time.Time) bool {
		return math.Abs(got-float64(want.Unix())) < 3600
	}
	if got := w.Metric(t, `apnsbridge_certificate_expiry_timestamp_seconds{section="tls"}`); !near(got,
		servertest.PKI().Server.Leaf.NotAfter) {
		t.Errorf("server certificate: got %v", got)
	}
	if text := w.Metrics(); strings.Contains(text, "apnsbridge_credential_expiry_timestamp_seconds") {
		t.Error("the metrics have an expiry for a token's key, which has none")
	}
	w.withCertificate(10 * day)
	w.reload()
	if got := w.Metric(t, `apnsbridge_credential_expiry_timestamp_seconds{app="demo"}`); !near(got,
		time.Now().Add(10*day)) {
		t.Errorf("credential: got %v, want 10 days from now", got)
	}
}

// A private key that others may read is reported, with what to do.
func TestKeyModeWarnings(t *testing.T) {
	t.Parallel()
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
				path := w.Path(file.name)
				if err := os.Chmod(path, tt.mode); err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("warning: %s: others than its owner may read %s (mode %04o): chmod 600 %s\n", file.setting,
					path, tt.mode, path)
				code, stdout, stderr := w.check(CheckOptions{})
				if code != servertest.OK || strings.Contains(stdout, want) != tt.warned || strings.Contains(stdout, "chmod") != tt.warned {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
			})
		}
	}
}

func TestDescriptorWarning(t *testing.T) {
	a := &Assembly{config: settingsOf(t, "limits: {connections: 1000}")}
	if got := a.descriptors(2256); got != nil {
		t.Errorf("got %v for 2256 files, want no warning", got)
	}
	const want = "this process may open 2255 files, and with limits.connections of 1000 its two ports need 2256: raise LimitNOFILE in its unit or ulimit -n, or lower limits.connections"
	if got := a.descriptors(2255); len(got) != 1 || got[0].text != want {
		t.Errorf("got %v, want %q", got, want)
	}
	if got := openFiles(); got < 3 || got == ^uint64(0) {
		t.Errorf("this process may open %d files: the limit was not read", got)
	}
}

// The CA that providers trust, and those that are trusted for providers, expire
// too.
func TestAuthoritiesExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.now = func() time.Time { return servertest.PKI().CA.Leaf.NotAfter.Add(-10 * day) }
	w.Start()
	w.service.warn()
	for _, want := range []string{"the authority " + w.Path("ca.pem") + " of clients expires on ",
		"the authority " + w.Path("ca.pem") + " of tls.certificate expires on "} {
		if !strings.Contains(w.Log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, w.Log.String())
		}
	}
	if err := os.Chmod(w.Path("ca-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ := w.check(CheckOptions{}); !strings.Contains(stdout,
		"others than its owner may read "+w.Path("ca-key.pem")) {
		t.Errorf("check does not warn that others may read the CA's key:\n%s", stdout)
	}
}

// So do a node's certificate and the CA of its fleet.
func TestFleetCertificatesExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	expires := time.Now().Add(10 * day)
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: story.Topic, NotAfter: expires})
	if err != nil {
		t.Fatal(err)
	}
	w.Write("fleet.pem", pair.CertPEM)
	w.Write("fleet-key.pem", pair.KeyPEM)
	w.Amend("apps:\n", `store: {path: data, postgres: {url: "postgres://127.0.0.1:1/none", schema: none}}
fleet: {node: gw1, listen: "127.0.0.1:0", certificate: fleet.pem, key: fleet-key.pem, ca: ca.pem}
apps:
`)
	_, stdout, stderr := w.check(CheckOptions{})
	want := "fleet.certificate " + w.Path("fleet.pem") + " expires on " + expires.UTC().Format(time.DateOnly) +
		", in 9 days: put a new one and its key in place, and restart this node\n"
	if !strings.Contains(stdout, want) {
		t.Errorf("check has no %q:\n%s%s", want, stdout, stderr)
	}
	settings, err := config.Load(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := Assemble(settings)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.certificateExpiries()["fleet"]; got.Unix() != expires.Unix() {
		t.Errorf("the metrics have its expiry as %v, want %v", got, expires)
	}
	a.now = func() time.Time { return servertest.PKI().CA.Leaf.NotAfter.Add(-10 * day) }
	want = "the authority " + w.Path("ca.pem") + " of the fleet expires on "
	if !slices.ContainsFunc(a.expiring(), func(w warning) bool { return strings.HasPrefix(w.text, want) && w.setting == "fleet.ca" }) {
		t.Errorf("the warnings have no %q: %v", want, a.expiring())
	}
}

// Settings that are probably not meant as written get a warning.
func TestDoubts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	settings, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.Write("AuthKey_ABC123DEFG.p8", servertest.PKI().TokenKey)
	w.Write("ecdsa.pem", nil)
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{CommonName: "gateway.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	w.Write("ecdsa.pem", append(pair.CertPEM, pair.KeyPEM...))
	const token = "token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}"
	for _, tt := range []struct{ name, old, with, want string }{
		{"key_id and team_id exchanged", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: DEF123GHIJ, team_id: ABC123DEFG}", "exchange the two"},
		{"a file for key_id", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: AuthKey_ABC123DEFG.p8, team_id: DEF123GHIJ}", "not ten capital letters and digits"},
		{"a key_id cut short", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: ABC123DEF, team_id: DEF123GHIJ}", "not ten capital letters and digits"},
		{"key_id with a blank", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: 'ABC123DEFG ', team_id: DEF123GHIJ}", "not ten capital letters and digits"},
		{"small letters", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: abc123defg, team_id: DEF123GHIJ}", "not ten capital letters and digits"},
		{"another key", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: XYZ123DEFG, team_id: DEF123GHIJ}", "the name of the key says ABC123DEFG"},
		{"twice the same", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: ABC123DEFG}", "the key_id once more"},
		{"a bundle identifier for team_id", token, "token: {key: AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: com.example.demo}", "Apple's membership page"},
		{"a team before the topic", "com.example.demo\n", "DEF123GHIJ.com.example.demo\n", "begins with a team's identifier"},
		{"a name for a topic", "com.example.demo\n", "demo\n", "has no dot"},
		{"by-listener without listeners", "    endpoint:", "    environment: by-listener\n    endpoint:", "no listener has environment: sandbox"},
		{"a server certificate without Apple's names", "certificate: server.pem, key: server-key.pem", "certificate: ecdsa.pem, key: ecdsa.pem", "gateway.push.apple.com"},
		{"a server certificate without an RSA key", "certificate: server.pem, key: server-key.pem", "certificate: ecdsa.pem, key: ecdsa.pem", "its key is not RSA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(string(settings), tt.old, tt.with, 1)
			if text == string(settings) {
				t.Fatal("the case changes nothing")
			}
			w.Write("apnsbridge.yaml", []byte(text))
			_, stdout, stderr := w.check(CheckOptions{})
			for line := range strings.Lines(stdout) {
				if strings.HasPrefix(line, "warning: ") && strings.Contains(line, tt.want) {
					return
				}
			}
			t.Errorf("got no warning with %q in\n%s%s", tt.want, stdout, stderr)
		})
	}
}

// A certificate that is not for the app's pushes holds the app, and the error says what it is
// for.
func TestCertificatesForOtherThings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options devpki.ClientOptions
		topic   string
		want    string
	}{
		{"the app's", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.mail", ""},
		{"the app's voip", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.mail.voip", ""},
		{"one that Apple has not listed", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.mail.push-type.liveactivity", ""},
		{"one of another app below", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.mail.beta", "is for com.example.mail, and"},
		{"any", devpki.ClientOptions{Topic: "com.example.mail"}, config.TopicFromCertificate, ""},
		{"another app's", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.othr", "is for com.example.mail, and the app's topic is com.example.othr"},
		{"one that is alike", devpki.ClientOptions{Topic: "com.example.mail"}, "com.example.mailbox", "is for com.example.mail, and"},
		{"a distributor's", devpki.ClientOptions{Topic: "TEAM123456", CommonName: "iPhone Distribution: Example Ltd"}, "com.example.mail", "is not for pushes"},
		{"a developer's", devpki.ClientOptions{CommonName: "Apple Development: me@example.com"}, "com.example.mail", "is not for pushes"},
		{"a web server's", devpki.ClientOptions{CommonName: "www.example.com"}, "com.example.mail", "names no topic"},
		{"a web server's, for any", devpki.ClientOptions{CommonName: "www.example.com"}, config.TopicFromCertificate, "names no topic"},
	} {
		pair, err := servertest.PKI().Issue(tt.options)
		if err != nil {
			t.Fatal(err)
		}
		if err := ServesTopic(pair.Leaf, tt.topic); (err == nil) != (tt.want == "") || err != nil &&
			!strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a sentence with %q", tt.name, err, tt.want)
		}
	}
}

// Only files get the advice to change their mode: not devices, nor directories that were named by mistake.
func TestModesOfWhatIsNoFile(t *testing.T) {
	for _, path := range []string{os.DevNull, "/tmp"} {
		settings, err := config.Parse("apnsbridge.yaml", fmt.Appendf(nil, `tls: {certificate: server.pem, key: %s}
apps:
  mail:
    topic: com.example.mail
    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
    clients: [{cidr: 10.1.0.0/16}]
`, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range (&Assembly{config: settings}).readable() {
			if strings.Contains(w.text, path) {
				t.Errorf("%s", w.text)
			}
		}
	}
}
