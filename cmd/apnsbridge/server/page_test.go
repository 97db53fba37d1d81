package server

import (
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// showPage returns the status page as a browser gets it, and its words separated by single
// spaces.
func (w *world) showPage(t *testing.T) (source, words string) {
	t.Helper()
	status, source := w.Ask(t, http.MethodGet, "/", nil)
	if status != http.StatusOK {
		t.Fatalf("got %d and %s", status, source)
	}
	return source, servertest.WordsOf(source)
}

// The page shows the state of each app, and what needs attention.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w.Stop()
	w.now = func() time.Time { return at }
	w.Start()
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
	check("at the start", "apnsbridge ready 2026-11-22 12:00:00 UTC version ",
		"configuration read 2026-11-22 12:00:00 UTC who still speaks it To see to ",
		"Apps Search App APNs Last hour Taken Accepted Bad tokens p99 Waiting On disk Credential "+row+"nothing sent yet 0 0 0 – 0 0 "+token,
		"Provider connections 0 of 10,000 Handshakes 0 of 256", "Bounds limits. used peak of connections 0 0 10,000")

	conn := w.Dial(w.ClientTLS())
	w.Send(0, conn, conn)
	if _, err := conn.Write(append(servertest.Enhanced("dead"+strings.Repeat("0", 60), 3),
		servertest.Enhanced("bad0"+strings.Repeat("0", 60), 4)...)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "all have their verdicts", func() bool {
		st := w.service.bridge.Stats()
		return st.Apps["demo"].BadTokens == 1 && st.Apps["demo"].Pool.InFlight == 0 && st.Unsettled == 0
	})
	check("after some notifications", row+"serves last refused: 400 BadDeviceToken: ",
		"topic com.example.demo, device bad00000…)", " 4 2 1 25.0 % ", token)
	status, source := w.Ask(t, http.MethodGet, "/apps/demo", nil)
	words := servertest.WordsOf(source)
	for _, want := range []string{"apnsbridge demo com.example.demo, production", "Connections to APNs 1 1,000 streams",
		"accepted 2", "bad token: BadDeviceToken 1", "error packet 8, invalid token 1", "devices put on the feedback list 1",
		"notifications_total production accepted 2"} {
		if !strings.Contains(words, want) || status != http.StatusOK {
			t.Errorf("the app's page answers %d and has no %q:\n%s", status, want, words)
		}
	}

	w.Amend("apps:", "limits: {window: x}\napps:")
	w.service.hangup()
	check("after a bad reload", "the last reload was refused, the log says why")
	w.Amend("limits: {window: x}\n", "")
	if err := w.Sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{Probability: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(servertest.Enhanced("55"+strings.Repeat("0", 62), 5)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the app has a problem", func() bool { return len(w.service.bridge.Problems()) == 1 })
	check("while APNs is away", "apnsbridge APNs serves no app 2026", "To see to At once demo : APNs ", row+"APNs ")
}

// The expiry of a credential is on the page from 30 days before it.
func TestPageExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	for _, tt := range []struct {
		lasts time.Duration
		level string // "": not shown
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
			t.Errorf("%v: shown %v, marked %v, want %v, as %q:\n%s", tt.lasts, named, marked, want, tt.level, source)
		}
	}
}

// The page may load and run its own files, and nothing else.
func TestPagePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	response, err := http.Get("http://" + w.Admin + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for header, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": page.Policy, "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := response.Header.Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	if status, _ := w.Ask(t, http.MethodGet, "/anything", nil); status != http.StatusNotFound {
		t.Errorf("/anything: got %d, want 404", status)
	}
}

// A button leads back to its page, and does not work from a page of another site.
func TestButtonsWithoutJavaScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	press := func(path string, header http.Header) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Admin+path,
			strings.NewReader("token=31ab"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html,application/xhtml+xml")
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	for _, path := range []string{"/apps/demo/try", "/apps/demo/believe", "/apps/demo/trace", "/feedback/again?app=demo"} {
		own := press(path, http.Header{"Sec-Fetch-Site": {"same-origin"}})
		if own.StatusCode != http.StatusSeeOther || own.Header.Get("Location") != "/apps/demo" {
			t.Errorf("%s: got %d, to %q", path, own.StatusCode, own.Header.Get("Location"))
		}
		for origin, want := range map[string]int{"http://" + w.Admin: http.StatusSeeOther, "null": http.StatusForbidden,
			"": http.StatusForbidden} {
			if plain := press(path, http.Header{"Origin": {origin}}); plain.StatusCode != want { // no Fetch Metadata
				t.Errorf("%s with origin %q: got %d", path, origin, plain.StatusCode)
			}
		}
		for _, site := range []string{"cross-site", "same-site", "none", ""} {
			header := http.Header{"Origin": {"http://evil.example"}}
			if site != "" {
				header.Set("Sec-Fetch-Site", site)
			}
			if other := press(path, header); other.StatusCode != http.StatusForbidden {
				t.Errorf("%s from site %q: got %d, want it forbidden", path, site, other.StatusCode)
			}
		}
	}
	if unknown := press("/apps/nothing/try",
		http.Header{"Sec-Fetch-Site": {"same-origin"}}); unknown.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown app: got %d", unknown.StatusCode)
	}
}

// The page's links and buttons work whatever the app's name is.
func TestOddNames(t *testing.T) {
	t.Parallel()
	const odd = `a/../b?c=d#e&"f%2Fg <i> שלום`
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.Amend("  demo:", "  "+strconv.Quote(odd)+":")
	w.Start()
	source, _ := w.showPage(t)
	link := regexp.MustCompile(`href="(/apps/[^"]+)"`).FindStringSubmatch(source)
	if link == nil {
		t.Fatalf("the page has no link to the app:\n%s", source)
	}
	status, source := w.Ask(t, http.MethodGet, html.UnescapeString(link[1]), nil)
	if status != http.StatusOK {
		t.Fatalf("%s: got %d", link[1], status)
	}
	actions := regexp.MustCompile(`(?:action|href)="(/(?:apps|feedback)/[^"]+)"`).FindAllStringSubmatch(source, -1)
	if len(actions) != 5 {
		t.Fatalf("the app's page has the actions %q, want 5", actions)
	}
	for _, action := range actions {
		method := http.MethodPost
		if strings.HasPrefix(action[0], "href") {
			method = http.MethodGet
		}
		status, text := w.Ask(t, method, html.UnescapeString(action[1]),
			func(r *http.Request) { r.Header.Set("Accept", "text/html") })
		if status != http.StatusOK { // the status of the page that it leads back to
			t.Errorf("%s: got %d, %s", action[1], status, text)
		}
	}
}

// A device for which APNs accepts no more for now is not a problem of the app, and the app's page says why its
// notifications wait.
func TestPageOfDevicesThatWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "07", Reason: "TooManyRequests"}}})
	w.sendTo(t, servertest.Token("07", 1))
	servertest.WaitFor(t, "the app's page says that a device waits", func() bool {
		_, source := w.Ask(t, http.MethodGet, "/apps/demo", nil)
		return strings.Contains(servertest.WordsOf(source),
			"Devices that wait each for its own next attempt: 1. APNs wants fewer")
	})
	if status, text := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || text != "ok\n" {
		t.Errorf("/readyz says %d, %s", status, text)
	}
}
