package metrics

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"apnsbridge/bridge"
)

// Metrics are all of the gateway's.
type Metrics struct {
	read  func() *Snapshot
	other *prometheus.Registry // those of the runtime and the process
}

// New makes metrics that are read at each scrape.
func New(read func() *Snapshot) *Metrics {
	m := &Metrics{read, prometheus.NewRegistry()}
	m.other.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers a scrape. It does not compress what it answers: that would cost more
// than all else of it, and Prometheus is near as a rule.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m, promhttp.HandlerOpts{DisableCompression: true})
}

// Gather is part of prometheus.Gatherer. A registry would look at each of ten thousand
// values whether it contradicts another, at each scrape: here the tests do.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	others, err := m.other.Gather()
	all := append(m.own(), others...)
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, err
}

// own are the families of the gateway that have something to say.
func (m *Metrics) own() (all []*dto.MetricFamily) {
	s := viewOf(m.read())
	labels := make(labelPairs)
	for _, g := range groups {
		for i := range g.families {
			f := &g.families[i]
			to := sink{family: f, labels: labels, out: &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: f.kind.wire()}}
			if f.read(s, to); len(to.out.Metric) > 0 {
				all = append(all, to.out)
			}
		}
	}
	return all
}

// Figure is one value of a metric.
type Figure struct {
	App   string // "" for the whole gateway
	Name  string // without apnsbridge_, and with the labels but that of the app
	Value float64
}

// Figures are the present values, of a histogram how many it has counted, ordered by
// their names.
func (m *Metrics) Figures() (all []Figure) {
	for _, family := range m.own() {
		name := strings.TrimPrefix(family.GetName(), prefix)
		for _, metric := range family.GetMetric() {
			f := Figure{Name: name}
			var labels []string
			for _, pair := range metric.GetLabel() {
				switch value := pair.GetValue(); {
				case pair.GetName() == "app":
					f.App = value
				case value != "":
					labels = append(labels, value)
				}
			}
			if len(labels) > 0 {
				f.Name += " " + strings.Join(labels, " ")
			}
			switch {
			case metric.Counter != nil:
				f.Value = metric.Counter.GetValue()
			case metric.Gauge != nil:
				f.Value = metric.Gauge.GetValue()
			case metric.Histogram != nil:
				f.Value = float64(metric.Histogram.GetSampleCount())
			}
			all = append(all, f)
		}
	}
	return all
}

// view is a snapshot with the apps that have had something to do.
type view struct {
	*Snapshot
	apps []usedApp
}

type usedApp struct {
	name string
	*bridge.AppStats
}

func viewOf(s *Snapshot) *view {
	v := &view{Snapshot: s}
	for _, name := range slices.Sorted(maps.Keys(s.Bridge.Apps)) {
		if app := s.Bridge.Apps[name]; app.Lanes.Production.Used() || app.Lanes.Sandbox.Used() {
			v.apps = append(v.apps, usedApp{name, &app})
		}
	}
	return v
}
