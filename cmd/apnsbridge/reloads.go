package main

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads are the figures of what is read anew while the gateway runs.
type reloads struct {
	configurations *prometheus.CounterVec // by result
	certificates   *prometheus.CounterVec // by section and result
	loaded         atomic.Int64           // when the present configuration was read, in seconds since 1970
	refused        atomic.Bool            // the last one that was read is of no use
	gauges         []prometheus.Collector // of these two
}

func newReloads(now time.Time) *reloads {
	r := &reloads{
		configurations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apnsbridge_reloads_total",
			Help: "Configurations that were read while the gateway ran.",
		}, []string{"result"}),
		certificates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apnsbridge_certificate_reloads_total",
			Help: "Server certificates whose files had changed, by the section that names them. A reload of the configuration reads them too, and is not counted here.",
		}, []string{"section", "result"}),
	}
	r.gauges = []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "apnsbridge_configuration_loaded_timestamp_seconds",
			Help: "When the present configuration was read.",
		}, func() float64 { return float64(r.loaded.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "apnsbridge_last_reload_refused",
			Help: "1 if the last reload was refused: the files are not what the gateway goes by.",
		}, func() float64 {
			if r.refused.Load() {
				return 1
			}
			return 0
		}),
	}
	for _, result := range []string{taken, refused} {
		r.configurations.WithLabelValues(result)
		r.certificates.WithLabelValues("tls", result)
	}
	r.loaded.Store(now.Unix())
	return r
}

// What becomes of what is read anew.
const (
	taken   = "taken"
	refused = "refused"
)

func result(err error) string {
	if err != nil {
		return refused
	}
	return taken
}

// reloaded counts a configuration that was read at that time.
func (r *reloads) reloaded(at time.Time, err error) {
	r.configurations.WithLabelValues(result(err)).Inc()
	r.refused.Store(err != nil)
	if err == nil {
		r.loaded.Store(at.Unix())
	}
}

// renewed counts the files of a certificate.
func (r *reloads) renewed(section string, err error) {
	r.certificates.WithLabelValues(section, result(err)).Inc()
}

// Describe is part of prometheus.Collector.
func (r *reloads) Describe(to chan<- *prometheus.Desc) {
	for _, c := range r.all() {
		c.Describe(to)
	}
}

// Collect is part of prometheus.Collector.
func (r *reloads) Collect(to chan<- prometheus.Metric) {
	for _, c := range r.all() {
		c.Collect(to)
	}
}

func (r *reloads) all() []prometheus.Collector {
	return append([]prometheus.Collector{r.configurations, r.certificates}, r.gauges...)
}
