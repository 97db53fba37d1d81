package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// sink takes what a family has to say.
type sink struct {
	family *family
	labels labelPairs
	out    *dto.MetricFamily
}

// labelPairs are the labels of a scrape, of which most metrics share theirs.
type labelPairs map[[2]string]*dto.LabelPair

func (l labelPairs) of(name, value string) *dto.LabelPair {
	key := [2]string{name, value}
	p := l[key]
	if p == nil {
		p = &dto.LabelPair{Name: &key[0], Value: &key[1]}
		l[key] = p
	}
	return p
}

// wire is the kind as the data model has it.
func (k kind) wire() *dto.MetricType {
	return [...]dto.MetricType{dto.MetricType_COUNTER, dto.MetricType_GAUGE, dto.MetricType_HISTOGRAM}[k].Enum()
}

// value is a metric with all that it points to: one allocation in the place of five.
type value struct {
	metric  dto.Metric
	counter dto.Counter
	gauge   dto.Gauge
	number  float64
	labels  [4]*dto.LabelPair
}

// set gives the number under labels, which are in the family's order. What of an app has
// never been counted is not there.
func (s sink) set(number float64, labels ...string) {
	if s.family.kind == counter && number == 0 && len(labels) > 0 && s.family.labels[0] == "app" {
		return
	}
	v := &value{number: number}
	v.metric.Label = s.pairs(v.labels[:0], labels)
	if s.family.kind == counter {
		v.counter.Value, v.metric.Counter = &v.number, &v.counter
	} else {
		v.gauge.Value, v.metric.Gauge = &v.number, &v.gauge
	}
	s.out.Metric = append(s.out.Metric, &v.metric)
}

// pairs appends the family's labels with these values, ordered by their names.
func (s sink) pairs(to []*dto.LabelPair, values []string) []*dto.LabelPair {
	for i, value := range values {
		to = append(to, s.labels.of(s.family.labels[i], value))
	}
	slices.SortFunc(to, func(a, b *dto.LabelPair) int { return strings.Compare(*a.Name, *b.Name) })
	return to
}
