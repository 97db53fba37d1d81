package server

import (
	"crypto/tls"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/report"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// The report distinguishes providers with the same address and certificate, in whatever order
// they connect, and remembers them over a restart.
func TestProvidersReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	send := func(write func(i int) binproto.Notification) {
		t.Helper()
		conn := w.Dial(w.ClientTLS())
		defer conn.Close()
		var all []byte
		for i := range 20 {
			n := write(i)
			n.Token = fmt.Appendf(nil, "%032d", i)
			all = n.Append(all)
		}
		before := w.Sim.Stats().Accepted
		if _, err := conn.Write(all); err != nil {
			t.Fatal(err)
		}
		w.Await("20 more", func(st apnssim.Stats) bool { return st.Accepted >= before+20 })
	}
	hello := []byte(`{"aps":{"alert":"Hello"}}`)
	senders := map[string]func(i int) binproto.Notification{
		"a script (PHP), PyAPNs (Python) or apnagent (Node)": func(int) binproto.Notification {
			return binproto.Notification{Command: binproto.Simple, Payload: hello}
		},
		"java-apns (Java)": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Enhanced, Identifier: uint32(i + 1), Expiry: 0x7fffffff,
				Payload: hello}
		},
		"an MDM server": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Enhanced, Identifier: uint32(i + 1),
				Payload: []byte(`{"mdm":"F7B1"}`)}
		},
		"unknown": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(2, 1, 5, 4, 3),
				Identifier: uint32(i * 977), HasIdentifier: true,
				HasExpiry: true, Priority: 10, Payload: hello}
		},
	}
	want := []string{"a script (PHP), PyAPNs (Python) or apnagent (Node)", "an MDM server", "java-apns (Java)", "unknown"}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 0, 1}} {
		for _, i := range order {
			send(senders[want[i]])
		}
	}
	slices.Sort(want)
	check := func(when string) {
		t.Helper()
		var answer providersAnswer
		_, text := w.Ask(t, http.MethodGet, "/api/providers.json", nil)
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range answer.Providers {
			got = append(got, p.Library)
			if p.Habits.Frames != 40 || p.Connections != 2 || p.App != "demo" || p.TLS == "" || p.Expires.IsZero() {
				t.Errorf("%s: got %+v", when, p)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	servertest.WaitFor(t, "the connections have ended", func() bool { return w.service.push.Stats().Connections == 0 })
	check("while it runs")
	w.Stop()
	w.Start()
	check("after a restart")

	_, words := w.Ask(t, http.MethodGet, "/providers", nil)
	_, text := w.Ask(t, http.MethodGet, "/api/providers.csv", nil)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != len(want)+1 {
		t.Errorf("the CSV has %d rows: %v", len(rows), err)
	}
	for _, library := range want {
		if !strings.Contains(words, library) || !strings.Contains(text, library) {
			t.Errorf("page or CSV do not name %s", library)
		}
	}
}

// What a provider does after an error packet, its bad tokens and when it has read its feedback
// are in the report, on the page and in the CSV. What it had to resend does not make its share
// of bad tokens smaller.
func TestProvidersReportTellsHabits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	bad, first := servertest.Enhanced("bad0"+strings.Repeat("0", 60), 1), []byte(nil)
	for i := 2; i < 12; i++ {
		first = append(first, servertest.Enhanced(servertest.Token("0a", i), i)...)
	}
	conn := w.Dial(w.ClientTLS())
	if _, err := conn.Write(append(bad, first...)); err != nil {
		t.Fatal(err)
	}
	if answer, err := conn.ReadResponse(); err != nil || answer.Identifier != 1 {
		t.Fatalf("got %v, %v", answer, err)
	}
	conn.Close()
	w.Await("ten", func(st apnssim.Stats) bool { return st.Accepted == 10 })
	conn = w.Dial(w.ClientTLS())
	if _, err := conn.Write(append(first, servertest.Enhanced(servertest.Token("dead", 12), 12)...)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the device that is gone is listed",
		func() bool { return w.service.bridge.Stats().Apps["demo"].Feedback == 1 })
	w.checkFeedback(t, who{certificate: &w.ClientTLS().Certificates[0]}, tls.VersionTLS13, servertest.Token("dead", 12))
	var answer providersAnswer
	check := func(when string) {
		t.Helper()
		_, text := w.Ask(t, http.MethodGet, "/api/providers.json", nil)
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Providers) != 1 {
			t.Fatalf("%s: got %s, %v", when, text, err)
		}
		p := answer.Providers[0]
		if p.Resends != report.SendsAgain || p.BadTokens != 1 || p.Habits.Frames != 22 || p.Verdicts != 12 ||
			p.Ratio != 1.0/12 || p.Packets != 1 || p.Feedback.IsZero() || p.ADay != 22 {
			t.Errorf("%s: got %+v", when, p)
		}
	}
	check("while it is connected")
	var st adminapi.State
	_, state := w.Ask(t, http.MethodGet, "/api/state.json", nil)
	if err := json.Unmarshal([]byte(state), &st); err != nil || len(st.Apps) != 1 || st.Apps[0].Taken != 22 ||
		st.Apps[0].Ended != 12 {
		t.Errorf("got %s, %v, want 22 taken, of which 12 have ended", state, err)
	}
	if _, words := w.showPage(t); !strings.Contains(words, "1 8.3 %") { // one of twelve
		t.Errorf("the page says %s", words)
	}
	conn.Close()
	servertest.WaitFor(t, "its end is seen, or it would be told of ours",
		func() bool { return w.service.push.Stats().Connections == 0 })
	w.Stop()
	w.Start()
	check("after a restart")
	_, source := w.Ask(t, http.MethodGet, "/providers", nil)
	if words := servertest.WordsOf(source); !strings.Contains(words, " 22 22 1 8.3 % 1 yes ") {
		t.Errorf("the page says %s", words)
	}
	_, source = w.Ask(t, http.MethodGet, "/apps/demo", nil)
	if words, want := servertest.WordsOf(source),
		"feedback read by "+answer.Providers[0].Client+" at "; !strings.Contains(words, want) {
		t.Errorf("the app's page has no %q: %s", want, words)
	}
	_, text := w.Ask(t, http.MethodGet, "/api/providers.csv", nil)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("the CSV has %d rows: %v", len(rows), err)
	}
	for i, name := range rows[0] {
		want, ok := map[string]string{"verdicts": "12", "bad_tokens": "1", "bad_token_ratio": "0.0833", "resends": "yes",
			"a_day": "22", "packets": "1"}[name]
		if ok && rows[1][i] != want {
			t.Errorf("%s is %q in the CSV, want %q", name, rows[1][i], want)
		}
	}
}
