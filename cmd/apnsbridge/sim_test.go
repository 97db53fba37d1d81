package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/cmd/apnsbridge/story"
)

// Each scenario in the documentation is valid.
func TestDocumentedScenarios(t *testing.T) {
	text, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?m)`(\\{\"[^`]*\\})`[^|]*\\|$").FindAllStringSubmatch(string(text), -1)
	if len(found) < 12 {
		t.Fatalf("found %d scenarios, want at least 12", len(found))
	}
	for _, scenario := range found {
		if _, err := apnssim.ParseScenario([]byte(scenario[1])); err != nil {
			t.Errorf("%s: %v", scenario[1], err)
		}
	}
}

// Without flags the simulator creates its certificates, prints the settings with which a
// gateway uses it as APNs, and prints a line for each push.
func TestSimWithoutFlags(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sim")
	ctx, cancel := context.WithCancel(t.Context())
	out := &servertest.Buffer{}
	done := make(chan error, 1)
	go func() {
		done <- simCommand{Listen: "127.0.0.1:0", Control: "127.0.0.1:0", Courier: "127.0.0.1:0", Dir: dir}.Run(ctx, streams{out: out, err: out})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	servertest.WaitFor(t, "the lines to paste", func() bool { return strings.Contains(out.String(), "team_id") })
	field := func(name string) string {
		return regexp.MustCompile(name + `: ([^,}\s]+)`).FindStringSubmatch(out.String())[1]
	}
	pool, err := smallfile.Pool(field("endpoint_ca"))
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}}}}
	answer, err := old.Get(field("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusHTTPVersionNotSupported || !strings.Contains(string(text), "HTTP/2 only") {
		t.Errorf("HTTP/1.1 is answered with %d, %v, %s", answer.StatusCode, err, text)
	}
	key, err := os.ReadFile(field("key"))
	if err != nil {
		t.Fatal(err)
	}
	credential, err := upstream.NewTokenCredential(key, field("key_id"), field("team_id"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upstream.Probe(ctx, upstream.Question{
		Endpoint: upstream.Endpoint{URL: field("endpoint"), CA: pool}, Credential: credential, Environment: "production",
		Topic: story.Topic, PushType: "alert", Priority: 10, Payload: []byte(`{"aps":{}}`),
	}); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "a line for the push", func() bool {
		return strings.Contains(out.String(), "push 1 to "+story.Topic)
	})
	if line := out.String(); !strings.Contains(line, "400 BadDeviceToken") {
		t.Errorf("got %s", line)
	}
	again := simCommand{Dir: dir}
	if err := again.makeCertificates(); err != nil {
		t.Errorf("the certificates of the first run cannot be used again: %v", err)
	}
}

func TestSimControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	handler := simControl(w.Sim, t.Context().Done())
	show := func(path, accept, want string) string {
		t.Helper()
		answer, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s: got %d, want %q in %s", path, answer.Code, want, answer.Body)
		}
		return answer.Body.String()
	}
	show("/", "*/*", "POST   /scenario")
	show("/stats", "*/*", `"received"`)
	show("/received", "*/*", `"pushes"`)
	show("/page.css", "text/css", "body {")
	show("/page.js", "*/*", "refresh")
	const browser = "text/html,application/xhtml+xml"
	show("/", browser, "nothing yet")
	conn := w.Dial(w.ClientTLS())
	for i := range pushesOnPage + 5 {
		w.Send(i, conn)
	}
	if _, err := conn.Write(servertest.Enhanced(servertest.Token("bad0", 1), 500)); err != nil {
		t.Fatal(err)
	}
	w.Await("the bad one", func(st apnssim.Stats) bool { return st.Rejected == 1 })
	words := servertest.WordsOf(show("/", browser, "APNs simulator"))
	for _, want := range []string{"Pushes 106 Accepted 105 Refused 1 ", "106 400 BadDeviceToken " + servertest.Token("bad0", 1) + " com.example.demo alert 10 {\"aps\":",
		" 105 200 " + servertest.Token("21", 104)} {
		if !strings.Contains(words, want) {
			t.Errorf("the page has no %q:\n%.2000s", want, words)
		}
	}
	if rows := strings.Count(words, "com.example.demo alert"); rows != pushesOnPage {
		t.Errorf("the page has %d pushes, want %d", rows, pushesOnPage)
	}
}
