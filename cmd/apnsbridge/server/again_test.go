package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/store"
)

// again lets the entries that were given for app be given again, and returns how many there
// are.
func (w *world) again(t *testing.T, app string) int {
	t.Helper()
	status, body := w.Ask(t, http.MethodPost, "/feedback/again?app="+app, nil)
	var answer struct {
		App     string
		Entries int
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || answer.App != app {
		t.Fatalf("got %d, %q and error %v", status, body, err)
	}
	return answer.Entries
}

func TestFeedbackAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	lists := w.service.store.Feedback()
	dead := []store.Dead{
		{Token: servertest.Unhex(servertest.Token("0e", 1)), Time: time.Unix(listSince+1, 0)},
		{Token: servertest.Unhex(servertest.Token("0e", 2)), Time: time.Unix(listSince+2, 0)},
	}
	if err := lists.Record(t.Context(), "demo", dead...); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		return w.readFeedback(t)
	}
	want := read()
	if got := strings.Count(want, "\n"); got != len(dead) {
		t.Fatalf("got %d lines, want %d", got, len(dead))
	}
	if got := read(); got != "" {
		t.Errorf("the second time: got %q, want nothing", got)
	}
	if status, body := w.Ask(t, http.MethodPost, "/feedback/again?app=demo", nil); status != http.StatusOK ||
		body != `{"app":"demo","entries":2}`+"\n" {
		t.Errorf("got %d and %q", status, body)
	}
	if got := read(); got != want {
		t.Errorf("again: got %q, want %q", got, want)
	}

	// A push to the device has been accepted since, so it is no longer dead.
	w.sendTo(t, servertest.Token("0e", 1))
	servertest.WaitFor(t, "it is revived", func() bool { return !lists.Listed("demo", dead[0].Token) })
	if got := w.again(t, "demo"); got != 1 {
		t.Errorf("after one was revived: got %d entries, want 1", got)
	}
	if got := read(); !strings.HasSuffix(want, got) || strings.Count(got, "\n") != 1 {
		t.Errorf("after one was revived: got %q, want the second line of %q", got, want)
	}
}

// A request that changes something is refused with a sentence unless an operator on this
// machine has sent it on purpose.
func TestFeedbackAgainRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	const path = "/feedback/again?app=demo"
	for _, tt := range []struct {
		name, method, path string
		change             func(*http.Request)
		status             int
		want               string
	}{
		{"no header", http.MethodPost, path, func(r *http.Request) { r.Header.Del("X-Apnsbridge") }, http.StatusForbidden,
			"X-Apnsbridge: yes"},
		{"another header", http.MethodPost, path, func(r *http.Request) { r.Header.Set("X-Apnsbridge", "no") },
			http.StatusForbidden, "X-Apnsbridge: yes"},
		{"a name that may be anybody's", http.MethodPost, path, func(r *http.Request) { r.Host = "rebound.example.com:9195" },
			http.StatusForbidden, "by its address or as localhost"},
		{"from a web page", http.MethodPost, path, func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
			http.StatusForbidden, "not taken from web pages"},
		{"from a web page, says the browser", http.MethodPost, path,
			func(r *http.Request) {
				r.Header.Set("Sec-Fetch-Site",
					"cross-site")
			}, http.StatusForbidden, "not taken from web pages"},
		{"localhost", http.MethodPost, path, func(r *http.Request) { r.Host = "localhost" }, http.StatusOK, `"entries":0`},
		{"IPv6", http.MethodPost, path, func(r *http.Request) { r.Host = "[::1]:9195" }, http.StatusOK, `"entries":0`},
		{"GET", http.MethodGet, path, nil, http.StatusMethodNotAllowed, "Method Not Allowed"},
		{"no app", http.MethodPost, "/feedback/again", nil, http.StatusNotFound, "?app=NAME"},
		{"unknown app", http.MethodPost, "/feedback/again?app=news", nil, http.StatusNotFound,
			`app "news" is not configured`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := w.Ask(t, tt.method, tt.path, tt.change)
			if status != tt.status || !strings.Contains(body, tt.want) || strings.Count(body, "\n") != 1 {
				t.Errorf("got %d and %q, want %d and one line with %q", status, body, tt.status, tt.want)
			}
		})
	}
}
