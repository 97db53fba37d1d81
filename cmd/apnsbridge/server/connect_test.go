package server

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
)

// settingsOf loads the demo's configuration with more added.
func settingsOf(t *testing.T, more string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apnsbridge.yaml")
	text := strings.Replace(story.Settings, "%s", story.Topic, 1)
	text = strings.Replace(text, "%s", "https://127.0.0.1:1", 1)
	if err := os.WriteFile(path, []byte(text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// A wrong clock is reported with the rest, once, even if APNs accepts everything.
func TestCheckConnectClock(t *testing.T) {
	t.Parallel()
	pair, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	apns := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat))
	}))
	apns.EnableHTTP2, apns.TLS = true, &tls.Config{Certificates: []tls.Certificate{pair}}
	apns.StartTLS()
	defer apns.Close()
	w := newWorld(t, apnssim.Scenario{})
	w.Amend(w.Sim.URL(), apns.URL)
	w.Amend("topic:", "environment: by-listener\n    topic:")
	code, stdout, stderr := w.check(CheckOptions{Connect: true})
	line := regexp.MustCompile(`(?m)^warning: this machine's clock is (2h0m\d|1h59m\d\d)s behind that of APNs: set it right$`)
	if found := line.FindAllString(stdout, -1); code != servertest.OK || len(found) != 1 {
		t.Errorf("check ends with %d, want the clock mentioned once:\n%s%s", code, stdout, stderr)
	}
}

// check --connect says what APNs answers for each app, in each of its environments.
func TestCheckConnect(t *testing.T) {
	t.Parallel()
	const gone = "127.0.0.1:1" // not a port that was just closed: another program may get that
	key := apnssim.Key{KeyID: "DEVELOPER1", TeamID: "DEMOTEAM01", PEM: string(servertest.PKI().TokenKey)}
	for _, tt := range []struct {
		name      string
		scenario  apnssim.Scenario
		old, with string // in the configuration
		code      int
		says      []string
	}{
		{"good", apnssim.Scenario{Keys: []apnssim.Key{key}, Topics: []string{story.Topic}}, "", "", servertest.OK,
			[]string{"; APNs takes it for com.example.demo in production\n", "no problems"}},
		{"both environments", apnssim.Scenario{}, "topic:", "environment: by-listener\n    topic:", servertest.OK,
			[]string{"; APNs takes it for com.example.demo in production, for com.example.demo in sandbox\n"}},
		{"topic from certificate", apnssim.Scenario{}, "topic: " + story.Topic, "topic: from-certificate", servertest.OK,
			[]string{"; APNs takes it in production, where its topics come from certificates and were not tried\n"}},
		{"another key", apnssim.Scenario{Keys: []apnssim.Key{key}}, "DEVELOPER1", "DEVELOPER2", servertest.Failed,
			[]string{"apnsbridge: apps.demo, production: ",
				"403 InvalidProviderToken: the key is not one of team DEMOTEAM01 under the name DEVELOPER2"}},
		{"another topic", apnssim.Scenario{Topics: []string{"com.example.other"}}, "", "", servertest.Failed,
			[]string{"apnsbridge: apps.demo, production: ",
				"400 TopicDisallowed: the credential is not for the topic com.example.demo"}},
		{"unreachable", apnssim.Scenario{}, "endpoint_ca:", "proxy: http://" + gone + "\n    endpoint_ca:",
			servertest.Failed,
			[]string{"apps.demo, production: cannot reach APNs: ", "connection refused"}},
		{"files first", apnssim.Scenario{}, "AuthKey_DEVELOPER", "gone", servertest.Failed,
			[]string{"apps.demo.credential: open "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.scenario)
			if tt.old != "" {
				w.Amend(tt.old, tt.with)
			}
			code, stdout, stderr := w.check(CheckOptions{Connect: true})
			for _, want := range tt.says {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("check does not say %q:\n%s%s", want, stdout, stderr)
				}
			}
			if code != tt.code {
				t.Errorf("got exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			if s := w.Sim.Stats(); s.Accepted != 0 {
				t.Errorf("APNs accepted %d pushes, want none", s.Accepted)
			}
		})
	}
}
