package main

import (
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
)

// statsCollector makes a metric of every figure in the Stats of every part, so
// that none can be forgotten: apnsbridge_PART_FIELD, with the app as a label
// where there is one. A uint64 is a count from the start, another number says
// how things stand.
type statsCollector struct{ parts map[string]func() any }

func newStatsCollector(s *service, a *admin) *statsCollector {
	return &statsCollector{map[string]func() any{
		"gateway":  func() any { return s.push.Stats() },
		"feedback": func() any { return s.feedback.Stats() },
		"bridge":   func() any { return s.bridge.Stats() },
		"store":    func() any { return s.store.Stats() },
		"revoked":  func() any { return s.roll.stats() },
		"admin":    func() any { return a.stats() },

		"credential":         func() any { return s.current.Load().credentialFigures() },
		"server_certificate": func() any { return s.current.Load().certificateFigure() },
	}}
}

// Describe describes nothing: the collector's metrics are known when they are
// collected.
func (c *statsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect takes a snapshot of all parts.
func (c *statsCollector) Collect(to chan<- prometheus.Metric) {
	for part, stats := range c.parts {
		collect(to, "apnsbridge_"+part, "", reflect.ValueOf(stats()))
	}
}

func collect(to chan<- prometheus.Metric, name, app string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			below := name
			if !field.Anonymous {
				below += "_" + snake(field.Name)
			}
			collect(to, below, app, v.Field(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			collect(to, strings.TrimSuffix(name, "s"), key.String(), v.MapIndex(key))
		}
	case reflect.Uint64:
		send(to, name+"_total", app, prometheus.CounterValue, float64(v.Uint()))
	case reflect.Int, reflect.Int64:
		if d, ok := v.Interface().(time.Duration); ok {
			send(to, name+"_seconds", app, prometheus.GaugeValue, d.Seconds())
			return
		}
		send(to, name, app, prometheus.GaugeValue, float64(v.Int()))
	}
}

func send(to chan<- prometheus.Metric, name, app string, kind prometheus.ValueType, value float64) {
	var labels, values []string
	if app != "" {
		labels, values = []string{"app"}, []string{app}
	}
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, "A figure of the part's Stats.", labels, nil), kind, value, values...)
}

// snake turns HandshakesPerAddress into handshakes_per_address, and ResumedTLS
// into resumed_tls.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
