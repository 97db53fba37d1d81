package main

import (
	"iter"
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
		"log":      func() any { return s.lines.figures() },

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
		for f := range figures(part, stats()) {
			var labels, values []string
			if f.app != "" {
				labels, values = []string{"app"}, []string{f.app}
			}
			kind := prometheus.GaugeValue
			if f.counts {
				kind = prometheus.CounterValue
			}
			to <- prometheus.MustNewConstMetric(prometheus.NewDesc("apnsbridge_"+f.name,
				"A figure of the part's Stats.", labels, nil), kind, f.value, values...)
		}
	}
}

// figure is one number of a part's Stats.
type figure struct {
	name   string // PART_FIELD_total
	app    string // "" for the whole part
	value  float64
	counts bool // from the start; otherwise it says how things stand
}

// figures are all numbers in the stats of a part.
func figures(part string, stats any) iter.Seq[figure] {
	return func(yield func(figure) bool) { walk(yield, part, "", reflect.ValueOf(stats)) }
}

func walk(yield func(figure) bool, name, app string, v reflect.Value) (more bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			below := name
			if !field.Anonymous {
				below += "_" + snake(field.Name)
			}
			if !walk(yield, below, app, v.Field(i)) {
				return false
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if !walk(yield, strings.TrimSuffix(name, "s"), key.String(), v.MapIndex(key)) {
				return false
			}
		}
	case reflect.Uint64:
		return yield(figure{name + "_total", app, float64(v.Uint()), true})
	case reflect.Int, reflect.Int64:
		if d, ok := v.Interface().(time.Duration); ok {
			return yield(figure{name + "_seconds", app, d.Seconds(), false})
		}
		return yield(figure{name, app, float64(v.Int()), false})
	}
	return true
}

// snake turns HandshakesPerAddress into handshakes_per_address, and ResumedTLS
// into resumed_tls.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) ||
			i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
