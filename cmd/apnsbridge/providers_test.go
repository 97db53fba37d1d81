package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

// The report tells providers apart that come from one address with one certificate, in
// whatever order, and remembers them over a restart.
func TestProvidersReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	send := func(write func(i int) binproto.Notification) {
		t.Helper()
		conn := w.dial(w.clientTLS())
		defer conn.Close()
		var all []byte
		for i := range 20 {
			n := write(i)
			n.Token = fmt.Appendf(nil, "%032d", i)
			all = n.Append(all)
		}
		before := w.sim.Stats().Accepted
		if _, err := conn.Write(all); err != nil {
			t.Fatal(err)
		}
		w.await("20 more", func(st apnssim.Stats) bool { return st.Accepted >= before+20 })
	}
	hello := []byte(`{"aps":{"alert":"Hello"}}`)
	senders := map[string]func(i int) binproto.Notification{
		"a PHP script": func(int) binproto.Notification {
			return binproto.Notification{Command: binproto.Simple, Payload: hello}
		},
		"java-apns (Java)": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Enhanced, Identifier: uint32(i + 1), Expiry: 0x7fffffff, Payload: hello}
		},
		"an MDM server": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Enhanced, Identifier: uint32(i + 1), Payload: []byte(`{"mdm":"F7B1"}`)}
		},
		"unknown": func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(2, 1, 5, 4, 3), Identifier: uint32(i * 977), HasIdentifier: true,
				HasExpiry: true, Priority: 10, Payload: hello}
		},
	}
	want := []string{"a PHP script", "an MDM server", "java-apns (Java)", "unknown"}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 0, 1}} {
		for _, i := range order {
			send(senders[want[i]])
		}
	}
	t.Run("the real one", func(t *testing.T) {
		n := startNodeAPN(t, w, latestAPN) // ends with the subtest
		before := w.sim.Stats().Accepted
		for i := range 5 {
			fmt.Fprintf(n.stdin, "%064x alert-%d\n", 0x0e00+i, i)
		}
		w.await("5 more", func(st apnssim.Stats) bool { return st.Accepted >= before+5 })
		want = append(want, "node-apn 1.x (Node)")
	})
	slices.Sort(want)
	check := func(when string) {
		t.Helper()
		var answer providersAnswer
		_, text := w.ask(t, http.MethodGet, "/api/providers.json", nil)
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range answer.Providers {
			got = append(got, p.Library)
			if p.Library != "node-apn 1.x (Node)" && (p.Habits.Frames != 40 || p.Connections != 2) || p.App != "demo" || p.TLS == "" || p.Expires.IsZero() {
				t.Errorf("%s: got %+v", when, p)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	waitFor(t, "the connections have ended", func() bool { return w.service.push.Stats().Connections == 0 })
	check("while it runs")
	w.stop()
	w.start()
	check("after a restart")

	_, words := w.ask(t, http.MethodGet, "/providers", nil)
	_, text := w.ask(t, http.MethodGet, "/api/providers.csv", nil)
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
