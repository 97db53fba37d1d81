package metrics

import "apnsbridge/bridge"

var apns = group{"Connections to APNs", []family{
	laneParts(gauge, "apns_connections", "Connections to APNs: in use, being dialled, or left and with requests under "+
		"way.", "state",
		func(l *bridge.LaneStats) []part {
			p := &l.Pool
			return []part{{"in_use", float64(p.Connections)}, {"dialling", float64(p.Dialling)},
				{"leaving", float64(p.Leaving)}}
		}),
	perLane(gauge, "apns_requests_in_flight", "Requests that APNs has not answered yet.",
		func(l *bridge.LaneStats) float64 { return float64(l.Pool.InFlight) }),
	perLane(gauge, "apns_requests_queued", "Notifications without a place on a connection.",
		func(l *bridge.LaneStats) float64 { return float64(l.Pool.Queued) }),
	laneParts(counter, "apns_requests_total", "Requests by what became of them: answered; unprocessed, which are "+
		"repeated; lost with their connection; timed out.", "result",
		func(l *bridge.LaneStats) []part {
			p := &l.Pool
			return []part{{"answered", float64(p.Answered)}, {"unprocessed", float64(p.Unsent)},
				{"lost", float64(p.Unanswered)}, {"timed_out", float64(p.TimedOut)}}
		}),
	perLane(counter, "apns_dials_total", "Connections tried.",
		func(l *bridge.LaneStats) float64 { return float64(l.Pool.Dials) }),
	perLane(counter, "apns_dial_failures_total", "Of those, in vain.",
		func(l *bridge.LaneStats) float64 { return float64(l.Pool.DialFailures) }),
	laneParts(counter, "apns_connections_ended_total", "Connections that have ended: by a GOAWAY, lost, or left for "+
		"their age.", "reason",
		func(l *bridge.LaneStats) []part {
			p := &l.Pool
			return []part{{"goaway", float64(p.GoAways)}, {"lost", float64(p.Lost)}, {"age", float64(p.Rotations)}}
		}),
}}
