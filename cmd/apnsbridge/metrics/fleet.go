package metrics

import "time"

// Fleet are the figures of a node of a fleet.
type Fleet struct {
	Node      string
	Leased    bool
	Nodes     int // that have a lease
	Apps      []FleetApp
	Takeovers uint64
	Carried   uint64 // sessions, to other nodes
	Carries   int    // of these, at present
	Loose     time.Duration
	Fenced    uint64
	Differing []string // nodes that have been configured in another way for five minutes
}

// FleetApp is whether an app lives on this node.
type FleetApp struct {
	Name  string
	Here  bool
	Owner string // "" is none
	Epoch uint64
}

// Elsewhere is the other node on which an app lives, "" if it does not.
func (f *Fleet) Elsewhere(app string) string {
	if f == nil {
		return ""
	}
	for _, a := range f.Apps {
		if a.Name == app && !a.Here && a.Owner != f.Node {
			return a.Owner
		}
	}
	return ""
}

// ofFleet is a family that a gateway alone does not have.
func ofFleet(k kind, name, help string, value func(*Fleet) float64) family {
	return of(k, name, help, nil, func(s *view, to sink) {
		if s.Fleet != nil {
			to.set(value(s.Fleet))
		}
	})
}

// perFleetApp is one with a value for each app that a node of the fleet has had.
func perFleetApp(k kind, name, help string, value func(FleetApp) float64) family {
	return of(k, name, help, []string{"app"}, func(s *view, to sink) {
		if s.Fleet == nil {
			return
		}
		for _, app := range s.Fleet.Apps {
			to.set(value(app), app.Name)
		}
	})
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

var inFleet = group{"A fleet", []family{
	ofFleet(gauge, "fleet_leased", "1 while this node has a lease, and may act as the owner of apps.",
		func(f *Fleet) float64 { return truth(f.Leased) }),
	ofFleet(gauge, "fleet_nodes", "Nodes that have a lease, as this one knows.",
		func(f *Fleet) float64 { return float64(f.Nodes) }),
	ofFleet(gauge, "fleet_nodes_differing", "Nodes whose apps, clients or credentials have been others for five minutes.",
		func(f *Fleet) float64 { return float64(len(f.Differing)) }),
	perFleetApp(gauge, "fleet_app_here", "1 if the app lives on this node.",
		func(a FleetApp) float64 { return truth(a.Here) }),
	perFleetApp(gauge, "fleet_app_epoch", "The number of its latest claim.",
		func(a FleetApp) float64 { return float64(a.Epoch) }),
	ofFleet(counter, "fleet_takeovers_total", "Apps that this node has taken.",
		func(f *Fleet) float64 { return float64(f.Takeovers) }),
	ofFleet(gauge, "fleet_carried_sessions", "Connections whose app lives on another node.",
		func(f *Fleet) float64 { return float64(f.Carries) }),
	ofFleet(counter, "fleet_carried_total", "All there were of them.",
		func(f *Fleet) float64 { return float64(f.Carried) }),
	ofFleet(counter, "fleet_loose_seconds_total", "Time in which it was not known whose an app is, of all apps.",
		func(f *Fleet) float64 { return f.Loose.Seconds() }),
	ofFleet(counter, "fleet_fenced_total", "Writes that were refused because another node had the app by then.",
		func(f *Fleet) float64 { return float64(f.Fenced) }),
}}
