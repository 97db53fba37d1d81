package page

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/trace"
	"apnsbridge/cmd/apnsbridge/history"
	"apnsbridge/cmd/apnsbridge/report"
)

// Whatever comes from APNs, files and configurations is shown as text on the pages, never as markup.
func TestHostileWords(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{{.}}&`
	remark := Remark{Bad, hostile, hostile}
	app := App{Name: hostile, Topic: hostile, Environment: hostile, Level: Bad, State: hostile, Credential: hostile,
		Expiry: &remark}
	overview, one := httptest.NewRecorder(), httptest.NewRecorder()
	WriteOverview(overview, &Facts{State: hostile, Version: hostile, Remarks: []Remark{remark},
		Whole:  []Figure{{Name: hostile}},
		Limits: []Limit{{Name: hostile}}, Apps: []App{app}, Hour: make([]history.Point, 3)}, url.Values{"q": {hostile}})
	WriteApp(one, &AppFacts{App: app, Lanes: []Lane{{Environment: hostile, Answers: []Count{{hostile, 1}}}},
		Packets:  []Count{{hostile, 1}},
		Feedback: []Count{{hostile, 1}}, Resends: []Count{{hostile, 1}},
		Reads: []Read{{Client: hostile}}, Failures: []Failure{{Token: hostile, Reason: hostile, Client: hostile,
			Address: hostile}},
		Metrics: []Metric{{Name: hostile, Value: hostile}}})
	traced := httptest.NewRecorder()
	WriteTrace(traced, &Trace{App: hostile, Token: hostile, Identifier: hostile, APNsID: hostile,
		Tracing: []trace.Subject{{Prefix: hostile}},
		Notes: []TracedNote{{Curl: hostile, Note: trace.Note{Token: hostile, APNsID: hostile, Topic: hostile,
			Environment: hostile, PushType: hostile,
			Client: hostile, Address: hostile, Steps: []trace.Step{{What: hostile, Detail: hostile}}}}}})
	who := report.Who{App: hostile, Client: hostile, Address: hostile, TLS: hostile, Cipher: hostile, Stack: hostile}
	known, received := httptest.NewRecorder(), httptest.NewRecorder()
	WriteProviders(known, time.Now(), []report.Provider{{Who: who, Resends: hostile, Habits: report.Habits{Frames: 5}}},
		[]string{hostile})
	WriteSimulator(received, &Simulator{URL: hostile,
		Pushes: []apnssim.Push{{Token: hostile, Topic: hostile, PushType: hostile, Reason: hostile,
			Payload: []byte(hostile), APNSID: hostile}}})
	for name, text := range map[string]string{"overview": overview.Body.String(), "app": one.Body.String(),
		"trace":     traced.Body.String(),
		"providers": known.Body.String(), "simulator": received.Body.String()} {
		document, err := html.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		shown := 0
		for node := range document.Descendants() {
			if node.Type == html.TextNode && strings.Contains(node.Data, hostile) {
				shown++
			}
			if slices.Contains([]string{"img", "iframe", "object", "style", "base"}, node.Data) &&
				node.Type == html.ElementNode {
				t.Errorf("%s has a %s", name, node.Data)
			}
			for _, a := range node.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && a.Val != "/page.js" ||
					strings.HasPrefix(a.Val, "javascript:") {
					t.Errorf("%s has %s=%q", name, a.Key, a.Val)
				}
			}
		}
		if shown < 6 {
			t.Errorf("%s shows the hostile text %d times, want at least 6:\n%s", name, shown, text)
		}
	}
}

// Apps in trouble come first, and 500 apps do not make an endless page.
func TestManyApps(t *testing.T) {
	var facts Facts
	for i := range 500 {
		app := App{Name: fmt.Sprintf("app%03d", i), Topic: "com.example", Level: Good}
		if i == 321 {
			app.Level = Bad
		}
		if i == 77 {
			app.Past = []history.AppPoint{{Accepted: 5}}
		}
		facts.Apps = append(facts.Apps, app)
		facts.Remarks = append(facts.Remarks, Remark{Warn, "something", app.Name})
	}
	show := func(query url.Values) string {
		answer := httptest.NewRecorder()
		WriteOverview(answer, &facts, query)
		_, table, _ := strings.Cut(answer.Body.String(), `id="apps"`)
		return table
	}
	listed := regexp.MustCompile(`href="/apps/(app\d+)"`)
	all := listed.FindAllStringSubmatch(show(nil), -1)
	if len(all) != rows.first || all[0][1] != "app321" || all[1][1] != "app077" || all[2][1] != "app000" {
		t.Errorf("got %d rows, want the app in trouble and then the busy one first: %v", len(all), all)
	}
	if text := show(nil); !strings.Contains(text, "and 485 more") {
		t.Error("the page does not say how many apps are not listed")
	}
	if found := listed.FindAllStringSubmatch(show(url.Values{"q": {"APP49"}}), -1); len(found) != 10 {
		t.Errorf("a search finds %v, want 10 apps", found)
	}
	facts.Remarks = append(facts.Remarks, Remark{Level: Bad, Text: "something"}, Remark{Bad, "else", "app007"})
	for i := range 30 {
		facts.Remarks = append(facts.Remarks, Remark{Bad, fmt.Sprint(i), "app007"})
	}
	got := groups(facts.Remarks)
	if len(got) != 2 || got[0].Level != Bad || len(got[0].All) != remarksOfAKind.first || got[0].More != 27 ||
		got[0].All[0].Apps != nil {
		t.Errorf("got %+v, want the bad remarks first, limited in number", got)
	}
	if soon := got[1].All; len(soon) != 1 || len(soon[0].Apps) != appsOfARemark || soon[0].More != 490 {
		t.Errorf("a remark on all apps: got %+v", soon)
	}
	held := groups([]Remark{{Bad, "apps.mail.credential: it has expired", "mail"}})[0].All[0]
	if held.Text != "credential: it has expired" {
		t.Errorf("a remark that is shown with its app does not omit the setting's path: %s", held.Text)
	}
	late := append(slices.Clone(facts.Remarks), Remark{Level: Bad, Text: "the whole gateway's"})
	if got := groups(late)[0].All; got[0].Text != "something" || got[1].Text != "the whole gateway's" || len(got[2].Apps) != 1 {
		t.Errorf("remarks on the whole gateway are not first: got %+v", got)
	}
	const outage = "APNs is not well: 503 ServiceUnavailable: wait"
	for i := range 500 {
		facts.Remarks = append(facts.Remarks, Remark{Bad, fmt.Sprintf("%s (production, topic com.example.%d, device %08x…); "+
			"%d notifications wait", outage, i, i, i), facts.Apps[i].Name})
		facts.Apps[i].Level, facts.Apps[i].State = Bad, facts.Remarks[len(facts.Remarks)-1].Text
	}
	if got := groups(facts.Remarks[len(facts.Remarks)-500:]); len(got) != 1 || len(got[0].All) != 1 ||
		got[0].All[0].Text != outage || got[0].All[0].More != 490 {
		t.Errorf("an outage that each app met with another device is not one remark: got %+v", got)
	}
	if text := show(nil); strings.Count(text, outage+"<") != rows.first {
		t.Error("an app's row does not describe the outage without the device")
	}
	answer := httptest.NewRecorder()
	WriteOverview(answer, &facts, nil)
	if text := answer.Body.String(); !strings.Contains(text,
		`<a href="/apps/app009"><bdi>app009</bdi></a> and 490 more: something`) ||
		!strings.Contains(text, `<li class="bad">something</li>`) {
		t.Error("the page does not show the remarks grouped, with links to apps")
	}
}

// All points of a plot lie within its axes, whatever the figures are.
func TestPlots(t *testing.T) {
	points := make([]history.Point, 360)
	for i := range points {
		points[i].Outcomes[history.Accepted] = uint32(i * i)
		points[i].Outcomes[history.Gone] = uint32(i % 7)
		points[i].P99 = time.Duration(i%50) * time.Millisecond
		points[i].Waiting = int32(i % 3 * 1000)
		points[i].Oldest = time.Duration(i) * time.Hour
		points[i].TLS[history.TLS12] = int32(i)
	}
	coordinates := regexp.MustCompile(`(-?[\d.]+|NaN|[+-]?Inf),(-?[\d.]+|NaN|[+-]?Inf) `)
	for _, test := range [][]history.Point{points, make([]history.Point, 360), points[:1], nil} {
		for _, p := range plots(test, time.Second) {
			for _, c := range coordinates.FindAllStringSubmatch(string(p.SVG), -1) {
				var x, y float64
				if _, err := fmt.Sscan(c[1], &x); err != nil || x < marginX-1.1 || x > plotWidth-marginX+0.1 {
					t.Fatalf("%s: x is %s", p.Title, c[1])
				}
				if _, err := fmt.Sscan(c[2], &y); err != nil || y < marginTop-0.1 || y > base+0.1 {
					t.Fatalf("%s: y is %s", p.Title, c[2])
				}
			}
		}
	}
	if got := len(plots(points, time.Second)); got != 4 {
		t.Errorf("got %d plots, want 4", got)
	}
	for _, test := range []struct {
		span  string
		facts Facts
		shown bool
	}{
		{"", Facts{Hour: points}, true}, {"", Facts{Day: points}, false}, {"day", Facts{Day: points}, true}, {"day",
			Facts{Hour: points}, false},
	} {
		answer := httptest.NewRecorder()
		WriteOverview(answer, &test.facts, url.Values{"span": {test.span}})
		if strings.Contains(answer.Body.String(), "<polygon") != test.shown {
			t.Errorf("span %q, points: %d an hour, %d a day: plots shown: %v", test.span, len(test.facts.Hour),
				len(test.facts.Day), !test.shown)
		}
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000",
		-100: "-100"} {
		if got := Number(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	for name, want := range map[string]string{"queued_bytes": "64 MiB", "spool.max_bytes": "64 MiB",
		"spool_ahead": "64 MiB",
		"connections": "67,108,864"} {
		if got := amount(name, 64<<20); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "–", 1500 * time.Microsecond: "1.5 ms",
		250 * time.Millisecond: "250 ms", 90 * time.Second: "2 min", 3 * time.Hour: "3 h", 100 * time.Hour: "4 days"} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
