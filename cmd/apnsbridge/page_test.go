package main

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// showPage gives the status page as a browser gets it, and its words with single
// blanks between them.
func (w *world) showPage(t *testing.T) (source, words string) {
	t.Helper()
	status, source := w.ask(t, http.MethodGet, "/", nil)
	if status != http.StatusOK {
		t.Fatalf("got %d and %s", status, source)
	}
	return source, wordsOf(source)
}

func wordsOf(source string) string {
	_, body, _ := strings.Cut(source, "<body>")
	text := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))
	return strings.TrimSpace(regexp.MustCompile(`[ \n]+`).ReplaceAllString(text, " "))
}

// The page says how each app fares, and what is to be seen to.
func TestPage(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w.stop()
	w.now = func() time.Time { return at }
	w.start()
	const row = "demo com.example.demo, production "
	const token = "token key DEVELOPER1 of team DEMOTEAM01 "
	check := func(when string, wants ...string) {
		t.Helper()
		_, words := w.showPage(t)
		for _, want := range wants {
			if !strings.Contains(words, want) {
				t.Errorf("%s: the page has no %q:\n%s", when, want, words)
			}
		}
	}
	check("at the start", "apnsbridge ready 2026-11-22 12:00:00 UTC configuration read 2026-11-22 12:00:00 UTC To see to ",
		"Apps App APNs Taken Accepted Bad token App gone Refused Expired Given up Waiting On disk Credential "+row+"nothing sent yet connections 0, in flight 0 0 0 0 0 0 0 0 0 0 "+token,
		"Provider connections 0 of 10\u202f000 Handshakes 0 of 256", "All figures that are not 0 The gateway ")

	conn := w.dial(w.clientTLS())
	w.send(0, conn, conn)
	if _, err := conn.Write(append(enhanced("dead"+strings.Repeat("0", 60), 3), enhanced("bad0"+strings.Repeat("0", 60), 4)...)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all have their verdicts", func() bool {
		st := w.service.bridge.Stats()
		return st.Apps["demo"].BadTokens == 1 && st.Apps["demo"].Pool.InFlight == 0 && st.Unsettled == 0
	})
	check("after some notifications", row+"serves connections 1, in flight 0 last refused: 400 BadDeviceToken: ",
		"topic com.example.demo, device bad00000…) 4 2 1 1 0 0 0 0 0 "+token, "notifications_total production accepted 2")

	w.amend("apps:", "limits: {window: x}\napps:")
	w.service.hangup()
	check("after a bad reload", "the last reload was refused, the log says why")
	w.amend("limits: {window: x}\n", "")
	if err := w.sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{Probability: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(enhanced("55"+strings.Repeat("0", 62), 5)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the app has a problem", func() bool { return len(w.service.bridge.Problems()) == 1 })
	check("while APNs is away", "apnsbridge APNs serves no app 2026", "To see to demo: APNs ", row+"APNs ")
}

// A credential's end is on the page from 30 days before it.
func TestPageExpiry(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	for _, tt := range []struct {
		lasts time.Duration
		level string // "": not named
		left  string
	}{
		{31 * day, "", ""},
		{30 * day, "warn", "29 days left"},
		{14 * day, "warn", "13 days left"},
		{3 * day, "bad", "2 days left"},
		{36 * time.Hour, "bad", "1 day left"},
	} {
		if tt.lasts == 31*day {
			w.withCertificate(tt.lasts)
		} else {
			w.renewPushCertificate(tt.lasts)
		}
		w.reload()
		source, words := w.showPage(t)
		until := "certificate until " + time.Now().Add(tt.lasts).UTC().Format(time.DateOnly)
		if !strings.Contains(words, until+" "+tt.left) {
			t.Errorf("%v: the page has no %q:\n%s", tt.lasts, until+" "+tt.left, words)
		}
		named := strings.Contains(source, `<li class="`+tt.level+`">the push certificate of apps.demo.credential expires on`)
		marked := strings.Contains(source, `<small class="`+tt.level+`">`+tt.left)
		if want := tt.level != ""; named != want || marked != want {
			t.Errorf("%v: it is named: %v, and marked: %v; want %v, as %q:\n%s", tt.lasts, named, marked, want, tt.level, source)
		}
	}
}

// Whatever APNs, files and configurations say is text on the page, and the page
// can load and run nothing.
func TestPageIsInert(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{{.}}&`
	recorder := httptest.NewRecorder()
	servePage(recorder, page{
		State: hostile, Remarks: []remark{{bad, hostile}}, Whole: []share{{hostile, hostile, hostile}},
		Apps:    []appRow{{Name: hostile, Topic: hostile, Environment: hostile, Level: bad, State: hostile, Counts: []string{hostile}, Credential: hostile, Refusal: hostile, Expiry: &remark{bad, hostile}}},
		Figures: []figureList{{hostile, []namedFigure{{hostile, hostile}}}},
	})
	source := recorder.Body.String()
	if got := strings.Count(wordsOf(source), hostile); got != 16 {
		t.Errorf("the page shows the text %d times, want 16:\n%s", got, source)
	}
	loads := regexp.MustCompile(`<(?:script|img|link|iframe|form)|<[^>]*\s(?:on\w+|src|href|style)=|javascript:|@import|url\(`)
	if found := loads.FindString(source); found != "" {
		t.Errorf("the page has %q:\n%s", found, source)
	}
	_, style, _ := strings.Cut(source, "<style>")
	style, _, ok := strings.Cut(style, "</style>")
	hash := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := recorder.Header().Get("Content-Security-Policy"); !ok || got != want {
		t.Errorf("got the policy %q, want %q", got, want)
	}
	if strings.Count(source, "<style") != 1 {
		t.Error("the page has a style that its policy does not know")
	}

	w := newWorld(t, apnssim.Scenario{})
	response, err := http.Get("http://" + w.admin + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for header, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": want, "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
	} {
		if got := response.Header.Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	if status, _ := w.ask(t, http.MethodGet, "/anything", nil); status != http.StatusNotFound {
		t.Errorf("/anything: got %d, want 404", status)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567", -1000: "-1\u202f000", -100: "-100"} {
		if got := count(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
