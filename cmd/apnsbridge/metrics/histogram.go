package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"apnsbridge/bridge"
	durations "apnsbridge/bridge/histogram"
)

type histogram = durations.Histogram

// timed is a family of histograms, for each app and environment that APNs has answered.
func timed(name, help string, which func(*bridge.Times) *histogram) family {
	return of(histograms, name, help, laneLabels, func(s *view, to sink) {
		eachLane(s, func(app, environment string, l *bridge.LaneStats) {
			if l.Times != nil {
				to.observe(which(l.Times), app, environment)
			}
		})
	})
}

// observe gives a histogram under labels.
func (s sink) observe(h *histogram, labels ...string) {
	buckets := make(map[float64]uint64, len(durations.Classic))
	for i, n := range h.Buckets() {
		buckets[durations.Classic[i].Seconds()] = n
	}
	zero, native := h.Native()
	desc, count, sum := s.family.desc, h.Count(), h.Sum().Seconds()
	s.to <- both{
		classic: prometheus.MustNewConstHistogram(desc, count, sum, buckets, labels...),
		native: prometheus.MustNewConstNativeHistogram(desc, count, sum, native, nil, zero, durations.Schema,
			durations.ZeroSeconds, time.Time{}, labels...),
	}
}

// both is a histogram with classic buckets, which are all that the text format shows,
// and native ones beside them for scrapers that ask for protobuf.
type both struct{ classic, native prometheus.Metric }

// Desc is part of prometheus.Metric.
func (b both) Desc() *prometheus.Desc { return b.classic.Desc() }

// Write is part of prometheus.Metric.
func (b both) Write(to *dto.Metric) error {
	if err := b.native.Write(to); err != nil {
		return err
	}
	native := to.Histogram
	if err := b.classic.Write(to); err != nil {
		return err
	}
	h := to.Histogram
	h.Schema, h.ZeroThreshold, h.ZeroCount = native.Schema, native.ZeroThreshold, native.ZeroCount
	h.PositiveSpan, h.PositiveDelta = native.PositiveSpan, native.PositiveDelta
	return nil
}
