package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/gateway"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

func (k kind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// docs/metrics.md is generated from the rows: go test ./cmd/apnsbridge/metrics -run TestDocument -update
func TestDocument(t *testing.T) {
	const page = "../../../docs/metrics.md"
	var b bytes.Buffer
	b.WriteString(`# Metrics

Made from the rows of [cmd/apnsbridge/metrics](../cmd/apnsbridge/metrics) by its test; do not edit. ` + "`GET /metrics`" + `
on the admin port gives them to Prometheus, beside those of Go's runtime and of the process. [monitoring](monitoring)
has a dashboard for Grafana and rules for alerts.

What has the label ` + "`app`" + ` is there once that app has had something to do since the start, and a counter once it has
counted; ` + "`environment`" + ` is APNs' (production or sandbox). Histograms have classic buckets, and native ones of schema 2
for a Prometheus that asks for them (` + "`scrape_native_histograms`" + `).
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n", g.heading)
		for _, f := range g.families {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help)
		}
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is out of date (%v): go test ./cmd/apnsbridge/metrics -run TestDocument -update", page, err)
	}
}

// Each row follows Prometheus' conventions, and its help is one or more sentences.
func TestRows(t *testing.T) {
	seen := make(map[string]bool)
	for _, g := range groups {
		for _, f := range g.families {
			if seen[f.name] {
				t.Errorf("%s is defined twice", f.name)
			}
			seen[f.name] = true
			if !regexp.MustCompile(`^apnsbridge_[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(f.name) {
				t.Errorf("%s is not apnsbridge_ and lower-case words", f.name)
			}
			if strings.HasSuffix(f.name, "_total") != (f.kind == counter) {
				t.Errorf("%s is a %v: counters, and only they, end in _total", f.name, f.kind)
			}
			if !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "|\n") {
				t.Errorf("%s: the help %q is not a sentence that fits into a table", f.name, f.help)
			}
			if strings.Contains(f.name, "production") || strings.Contains(f.name, "sandbox") {
				t.Errorf("%s names the environment, which is a label", f.name)
			}
		}
	}
}

// ones sets each number in v that is 0 to 1.
func ones(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			ones(f)
		case reflect.Uint64:
			f.SetUint(max(1, f.Uint()))
		case reflect.Int, reflect.Int64:
			f.SetInt(max(1, f.Int()))
		}
	}
}

// full returns a snapshot that has something for every row.
func full() *Snapshot {
	lane := bridge.LaneStats{
		Counts: bridge.Counts{Taken: 3, Accepted: 1}, Times: new(bridge.Times),
		Endings: map[bridge.Ending]uint64{{Outcome: bridge.BadToken, Reason: "BadDeviceToken"}: 2, {Outcome: bridge.Dropped, Reason: "no answer"}: 1},
		Waiting: bridge.WaitingStats{Notifications: 5, OnDisk: 3, Oldest: 1_800_000_000},
	}
	lane.Times.Verdict.Observe(300 * time.Microsecond)
	lane.Times.Verdict.Observe(70 * time.Millisecond)
	lane.Times.Verdict.Observe(2 * time.Hour)
	ones(reflect.ValueOf(&lane).Elem())
	app := bridge.AppStats{Packets: map[binproto.Status]uint64{binproto.InvalidToken: 2}}
	ones(reflect.ValueOf(&app).Elem())
	app.Lanes.Production, app.Lanes.Sandbox = lane, lane
	s := &Snapshot{
		Version: `1.0 "x"`, Troubles: map[string]string{"mail": "why"},
		Credentials: map[string]time.Time{"mail": time.Unix(1_800_000_000, 0)}, Certificates: map[string]time.Time{"tls": time.Unix(1_800_000_000, 0)},
		Limits:  []Limit{{"connections", 1, 10_000}},
		Reloads: Reloads{Configurations: map[string]uint64{"taken": 1}, Certificates: map[SectionResult]uint64{{"tls", "taken"}: 1}},
		OldTLS:  map[OldTLS]uint64{{"mail", "TLS 1.0", "TLS_RSA_WITH_AES_128_CBC_SHA", "0123"}: 1},
	}
	s.Fleet = &Fleet{Node: "gw1", Leased: true, Nodes: 2,
		Apps: []FleetApp{{Name: "mail", Here: true, Owner: "gw1", Epoch: 3}}}
	s.Bridge.Now = 1_800_000_060
	s.Bridge.Apps = map[string]bridge.AppStats{"mail": app, "idle": {}}
	s.Push.Open, s.Push.Admitted = map[uint16]int{0: 1, 0x0304: 2}, map[uint16]uint64{0x0301: 7}
	s.Feedback.PortStats = gateway.PortStats{Open: map[uint16]int{0x0303: 1}}
	return s
}

// What was taken has its outcome, was swallowed, or waits: the figures of an app add up, whatever
// a resend was known by.
func TestResendsSwallowed(t *testing.T) {
	app := bridge.AppStats{Counts: bridge.Counts{Known: 8}}
	app.Lanes.Production.Taken = 15
	c := &app.Conversation
	c.SwallowedSame, c.SwallowedOther, c.SwallowedReset = 1, 2, 4
	_, body := scrape(t, &Snapshot{Bridge: bridge.Stats{Apps: map[string]bridge.AppStats{"mail": app}}}, "")
	var sum float64
	for _, line := range regexp.MustCompile(`(?m)^apnsbridge_resends_swallowed_total\{.*\} (.*)$`).FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 15 {
		t.Errorf("%v were swallowed, want 15", sum)
	}
}

// scrape asks for the metrics of s as Prometheus does.
func scrape(t *testing.T, s *Snapshot, accept string) (contentType, body string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	New(func() *Snapshot { return s }).Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("got %d and %s", w.Code, w.Body)
	}
	return w.Header().Get("Content-Type"), w.Body.String()
}

// Every row is exported with the snapshot's values, except for an app that is idle.
func TestScrape(t *testing.T) {
	_, text := scrape(t, full(), "text/plain")
	for _, g := range groups {
		for _, f := range g.families {
			if !strings.Contains(text, "\n# TYPE "+f.name+" "+f.kind.String()+"\n") {
				t.Errorf("%s is not exported", f.name)
			}
		}
	}
	if strings.Contains(text, `"idle"`) {
		t.Error("an idle app is exported")
	}
	for _, want := range []string{
		`notifications_total{app="mail",environment="production",outcome="accepted",reason=""} 1`,
		`notifications_total{app="mail",environment="sandbox",outcome="bad_token",reason="BadDeviceToken"} 2`,
		`notifications_total{app="mail",environment="sandbox",outcome="given_up",reason="no_answer"} 1`,
		`notifications_waiting{app="mail",environment="production",place="memory"} 2`,
		`notifications_waiting{app="mail",environment="production",place="disk"} 3`,
		`notifications_oldest_waiting_age_seconds{app="mail",environment="production"} 60`,
		`notification_verdict_duration_seconds_bucket{app="mail",environment="production",le="0.001"} 1`,
		`notification_verdict_duration_seconds_bucket{app="mail",environment="production",le="0.05"} 1`,
		`notification_verdict_duration_seconds_bucket{app="mail",environment="production",le="0.1"} 2`,
		`notification_verdict_duration_seconds_bucket{app="mail",environment="production",le="+Inf"} 3`,
		`notification_verdict_duration_seconds_sum{app="mail",environment="production"} 7200.0703`,
		`packets_total{app="mail",status="8"} 2`,
		`connections{port="push",tls="TLS 1.3"} 2`, `connections{port="push",tls="none"} 1`,
		`connections_admitted_total{port="push",tls="TLS 1.0"} 7`,
		`limit{limit="connections"} 10000`, `limit_used{limit="connections"} 1`, `app_troubled{app="mail"} 1`,
	} {
		if !strings.Contains(text, "\n"+prefix+want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
}

// No two values of a metric have the same labels. Nothing else checks that at a scrape.
func TestLabelsAreDistinct(t *testing.T) {
	for _, f := range New(full).own() {
		seen := make(map[string]bool)
		for _, m := range f.GetMetric() {
			labels := fmt.Sprint(m.GetLabel())
			if seen[labels] {
				t.Errorf("%s has %s twice", f.GetName(), labels)
			}
			seen[labels] = true
			if !slices.IsSortedFunc(m.GetLabel(), func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) }) {
				t.Errorf("%s: the labels %s are not sorted", f.GetName(), labels)
			}
		}
	}
}

// A client that asks for no format gets text, and nothing in a label can end its line.
func TestTextIsTheDefault(t *testing.T) {
	hostile := full()
	hostile.Troubles["a\"b\\c\nd"] = "why"
	format, body := scrape(t, hostile, "")
	if !strings.HasPrefix(format, "text/plain; version=0.0.4") {
		t.Errorf("got %s", format)
	}
	if want := `a\"b\\c\nd`; !strings.Contains(body, want) {
		t.Errorf("%s is not in the text", want)
	}
}

// A client that asks for protobuf gets both the classic buckets and the native ones.
func TestNativeHistograms(t *testing.T) {
	const protobuf = "application/vnd.google.protobuf"
	format, body := scrape(t, full(), protobuf+";proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;q=0.3")
	if !strings.HasPrefix(format, protobuf) {
		t.Fatalf("got %s", format)
	}
	seen := 0
	for decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.Format(format)); ; {
		var f dto.MetricFamily
		if err := decoder.Decode(&f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if f.GetName() != "apnsbridge_notification_verdict_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			seen++
			h := m.GetHistogram()
			var native, last int64
			for _, delta := range h.GetPositiveDelta() {
				last += delta
				native += last
			}
			if h.GetSchema() != 2 || h.GetSampleCount() != 3 || native != 3 || len(h.GetPositiveSpan()) < 2 ||
				len(h.GetBucket()) < 10 {
				t.Errorf("got %v", h)
			}
		}
	}
	if seen != 2 {
		t.Errorf("got the histogram for %d environments, want 2", seen)
	}
}

// promtool runs Prometheus' tool with in as its standard input.
func promtool(t *testing.T, in string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: Debian has it in the package prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolChecksMetrics(t *testing.T) {
	_, text := scrape(t, full(), "text/plain")
	promtool(t, text, "check", "metrics")
}

// The figures for the page are those of a scrape, with the app in a field of its own.
func TestFigures(t *testing.T) {
	figures := make(map[Figure]bool)
	for _, f := range New(full).Figures() {
		figures[f] = true
	}
	for _, want := range []Figure{
		{"mail", "notifications_total production accepted", 1}, {"mail", "notification_verdict_duration_seconds sandbox", 3},
		{"", "limit connections", 10_000},
	} {
		if !figures[want] {
			t.Errorf("there is no %+v", want)
		}
	}
}
