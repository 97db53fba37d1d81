package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const monitoring = "../../../docs/monitoring/"

// exported returns the labels of all exported series, including those into which Prometheus
// splits a histogram. The runtime's own series have their names only.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	series := make(map[string][]string)
	for _, g := range groups {
		for _, f := range g.families {
			series[f.name] = f.labels
			if f.kind == histograms {
				series[f.name+"_bucket"] = append(slices.Clone(f.labels), "le")
				series[f.name+"_sum"], series[f.name+"_count"] = f.labels, f.labels
			}
		}
	}
	families, err := New(full).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if _, ours := series[f.GetName()]; !ours {
			series[f.GetName()] = nil
		}
	}
	return series
}

// rules returns the queries of alerts.yml.
func rules(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (?:\|\n((?:          +.*\n)+)|(.*)\n)`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1]+m[2])
	}
	if alerts := strings.Count(string(text), "- alert: "); len(all) != alerts {
		t.Fatalf("found %d queries for %d alerts", len(all), alerts)
	}
	return all
}

// dashboard returns the queries of the dashboard, including those of its variables.
func dashboard(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
		Templating  struct {
			List []struct {
				Type  string
				Query json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q has no query", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, a := range board.Annotations.List {
		all = append(all, a.Expr)
	}
	for _, v := range board.Templating.List {
		var query struct{ Query string }
		if v.Type == "query" && json.Unmarshal(v.Query, &query) == nil {
			m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(query.Query)
			if m == nil {
				t.Fatalf("the query of a variable is %s, want label_values of a metric", query.Query)
			}
			all = append(all, fmt.Sprintf("sum by (%s) (%s)", m[2], m[1]))
		}
	}
	if len(all) < 30 {
		t.Errorf("found only %d queries", len(all))
	}
	return all
}

var (
	words     = regexp.MustCompile(`\b(?:apnsbridge|go|process)_[a-z0-9_]+`)
	selectors = regexp.MustCompile(`\b((?:apnsbridge|go|process)_[a-z0-9_]+)\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`([a-z_]+) *(?:=|!=|=~|!~) *"`)
	groupings = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// All queries name existing metrics, and labels that those have.
func TestQueriesNameWhatExists(t *testing.T) {
	series := exported(t)
	ofScrape := []string{"instance", "job"}
	for _, query := range slices.Concat(rules(t), dashboard(t)) {
		var labels []string
		names := words.FindAllString(query, -1)
		if len(names) == 0 && !strings.HasPrefix(query, "up{") {
			t.Errorf("%s names no metric", query)
		}
		for _, name := range names {
			of, ok := series[name]
			if !ok {
				t.Errorf("%s: there is no metric %s", query, name)
			}
			labels = append(labels, of...)
		}
		for _, s := range selectors.FindAllStringSubmatch(query, -1) {
			for _, m := range matchers.FindAllStringSubmatch(s[2], -1) {
				if !slices.Contains(series[s[1]], m[1]) && !slices.Contains(ofScrape, m[1]) {
					t.Errorf("%s: %s has no label %s", query, s[1], m[1])
				}
			}
		}
		for _, by := range groupings.FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(by[1], ",") {
				if label = strings.TrimSpace(label); !slices.Contains(labels, label) && !slices.Contains(ofScrape, label) {
					t.Errorf("%s: none of its metrics has a label %s", query, label)
				}
			}
		}
	}
}

// Prometheus can read the rules, and the alerts in alerts_test.yml fire when they
// should.
func TestPromtoolChecksRules(t *testing.T) {
	promtool(t, "", "check", "rules", monitoring+"alerts.yml")
	promtool(t, "", "test", "rules", monitoring+"alerts_test.yml")
	promtool(t, "", "check", "config", monitoring+"prometheus.yml")
}

// Prometheus can read the queries of the dashboard, once Grafana's variables are filled
// in.
func TestPromtoolChecksDashboard(t *testing.T) {
	fill := strings.NewReplacer("$__rate_interval", "5m", "$app", ".*", "$environment", ".*")
	seen := make(map[string]bool)
	for _, query := range dashboard(t) {
		seen[fill.Replace(query)] = true
	}
	text := "groups:\n- name: dashboard\n  rules:\n"
	for i, query := range slices.Sorted(maps.Keys(seen)) {
		quoted, _ := json.Marshal(query)
		text += fmt.Sprintf("  - {record: query%d, expr: %s}\n", i, quoted)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
