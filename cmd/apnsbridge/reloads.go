package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads are the figures of what is read anew while the gateway runs.
type reloads struct {
	configurations *prometheus.CounterVec // by result
	certificates   *prometheus.CounterVec // by section and result
	loaded         prometheus.Gauge       // when the present configuration was read
	refused        prometheus.Gauge       // 1 if the last one that was read is of no use
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
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "apnsbridge_configuration_loaded_timestamp_seconds",
			Help: "When the present configuration was read.",
		}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "apnsbridge_last_reload_refused",
			Help: "1 if the last reload was refused: the files are not what the gateway goes by.",
		}),
	}
	for _, result := range []string{taken, refused} {
		r.configurations.WithLabelValues(result)
		r.certificates.WithLabelValues("tls", result)
	}
	r.loaded.Set(float64(now.Unix()))
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
	if err != nil {
		r.refused.Set(1)
		return
	}
	r.refused.Set(0)
	r.loaded.Set(float64(at.Unix()))
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
	return []prometheus.Collector{r.configurations, r.certificates, r.loaded, r.refused}
}
