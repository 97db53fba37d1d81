package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"apnsbridge/bridge"
)

// Metrics are all of the gateway's.
type Metrics struct {
	registry *prometheus.Registry
	own      *prometheus.Registry // without those of the runtime
}

// New makes metrics that are read at each scrape.
func New(read func() *Snapshot) *Metrics {
	m := &Metrics{prometheus.NewRegistry(), prometheus.NewRegistry()}
	m.own.MustRegister(collector(read))
	m.registry.MustRegister(collector(read), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
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
	families, _ := m.own.Gather() // a fault in a row leaves that one out, and fails the tests
	for _, family := range families {
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
	for name, app := range s.Bridge.Apps {
		if app.Lanes.Production.Used() || app.Lanes.Sandbox.Used() {
			v.apps = append(v.apps, usedApp{name, &app})
		}
	}
	return v
}

// collector reads the gateway's figures anew for each scrape.
type collector func() *Snapshot

// Describe is part of prometheus.Collector.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, g := range groups {
		for i := range g.families {
			to <- g.families[i].desc
		}
	}
}

// Collect is part of prometheus.Collector.
func (read collector) Collect(to chan<- prometheus.Metric) {
	s := viewOf(read())
	for _, g := range groups {
		for i := range g.families {
			f := &g.families[i]
			f.read(s, sink{f, to})
		}
	}
}
