package metrics

import (
	"apnsbridge/bridge"
	"apnsbridge/gateway"
)

// family is all that is known of a metric: a row of docs/metrics.md, and how it is read.
type family struct {
	name   string // with apnsbridge_ in front of it
	kind   kind
	help   string
	labels []string
	read   func(*view, sink)
}

// prefix is that of all names.
const prefix = "apnsbridge_"

// kind is a family's type, as Prometheus calls it.
type kind uint8

const (
	counter kind = iota
	gauge
	histograms
)

// group are families that have something in common, under a heading.
type group struct {
	heading  string
	families []family
}

// groups are all there are, in the order of docs/metrics.md.
var groups = []group{notifications, providers, apns, feedback, ports, push, store, inFleet, configuration, process}

// of is a family with labels of its own.
func of(k kind, name, help string, labels []string, read func(*view, sink)) family {
	return family{name: prefix + name, kind: k, help: help, labels: labels, read: read}
}

// whole is a family with one value for the gateway.
func whole(k kind, name, help string, value func(*view) float64) family {
	return of(k, name, help, nil, func(s *view, to sink) { to.set(value(s)) })
}

// perApp is a family with a value for each app that has had something to do.
func perApp(k kind, name, help string, value func(*bridge.AppStats) float64) family {
	return of(k, name, help, []string{"app"}, func(s *view, to sink) {
		for _, app := range s.apps {
			to.set(value(app.AppStats), app.name)
		}
	})
}

// eachLane calls do with each app and environment that have had something to do.
func eachLane(s *view, do func(app, environment string, st *bridge.LaneStats)) {
	for _, app := range s.apps {
		if lane := &app.Lanes.Production; lane.Used() {
			do(app.name, bridge.Production.String(), lane)
		}
		if lane := &app.Lanes.Sandbox; lane.Used() {
			do(app.name, bridge.Sandbox.String(), lane)
		}
	}
}

var laneLabels = []string{"app", "environment"}

// perLane is a family with a value for each of these.
func perLane(k kind, name, help string, value func(*bridge.LaneStats) float64) family {
	return of(k, name, help, laneLabels, func(s *view, to sink) {
		eachLane(s, func(app, environment string, st *bridge.LaneStats) { to.set(value(st), app, environment) })
	})
}

// part is a value, and what a label says of it.
type part struct {
	name  string
	value float64
}

// laneParts is a family with values for each of these and what another label says.
func laneParts(k kind, name, help, label string, values func(*bridge.LaneStats) []part) family {
	return of(k, name, help, append(laneLabels[:2:2], label), func(s *view, to sink) {
		eachLane(s, func(app, environment string, st *bridge.LaneStats) {
			for _, p := range values(st) {
				to.set(p.value, app, environment, p.name)
			}
		})
	})
}

// perPort is a family with a value for each of the ports that providers connect to.
func perPort(k kind, name, help string, value func(*gateway.PortStats) float64) family {
	return of(k, name, help, []string{"port"}, func(s *view, to sink) {
		to.set(value(&s.Push.PortStats), "push")
		to.set(value(&s.Feedback.PortStats), "feedback")
	})
}

// portParts is a family with values for each port and what another label says.
func portParts(k kind, name, help, label string, values func(*gateway.PortStats) []part) family {
	return of(k, name, help, []string{"port", label}, func(s *view, to sink) {
		for _, p := range values(&s.Push.PortStats) {
			to.set(p.value, "push", p.name)
		}
		for _, p := range values(&s.Feedback.PortStats) {
			to.set(p.value, "feedback", p.name)
		}
	})
}

// parts is a family with values for the gateway by what a label says.
func parts(k kind, name, help, label string, values func(*view) []part) family {
	return of(k, name, help, []string{label}, func(s *view, to sink) {
		for _, p := range values(s) {
			to.set(p.value, p.name)
		}
	})
}
