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

// observe gives a histogram under labels: with classic buckets, which are all that the
// text format shows, and native ones beside them for scrapers that ask for protobuf.
func (s sink) observe(h *histogram, labels ...string) {
	zero, native := h.Native()
	count, sum := h.Count(), h.Sum().Seconds()
	metric := new(dto.Metric)
	if err := prometheus.MustNewConstNativeHistogram(anyDesc, count, sum, native, nil, zero, durations.Schema,
		durations.ZeroSeconds, time.Time{}).Write(metric); err != nil {
		panic(err) // it does not fail
	}
	counts := h.Buckets()
	buckets := make([]dto.Bucket, len(counts))
	for i := range counts {
		buckets[i].CumulativeCount, buckets[i].UpperBound = &counts[i], &bounds[i]
		metric.Histogram.Bucket = append(metric.Histogram.Bucket, &buckets[i])
	}
	metric.Label = s.pairs(nil, labels)
	s.out.Metric = append(s.out.Metric, metric)
}

// anyDesc is for what is written down at once.
var anyDesc = prometheus.NewDesc(prefix+"histogram", "", nil, nil)

// bounds are the classic ones, in seconds.
var bounds = func() (all [len(durations.Classic)]float64) {
	for i, bound := range durations.Classic {
		all[i] = bound.Seconds()
	}
	return all
}()
