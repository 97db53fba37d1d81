package server

import (
	"errors"
	"fmt"
	"net/http"

	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/fleet"
	"apnsbridge/store"
)

func (f *fleetNode) state() adminapi.Fleet {
	m, ours := f.member.Stats(), f.service.current.Load().fleet.digest
	st := adminapi.Fleet{Node: m.Node, Leased: m.Leased, Nodes: []adminapi.Node{}, Apps: []adminapi.Place{}}
	if m.Failing != nil {
		st.Reason = m.Failing.Error()
	}
	for _, n := range m.Nodes {
		st.Nodes = append(st.Nodes, adminapi.Node{Name: n.Name, Address: n.Address, Linked: n.Linked,
			Differing: n.Digest != ours})
	}
	for _, a := range m.Apps {
		st.Apps = append(st.Apps, adminapi.Place{Name: a.Name, Node: a.Owner, Epoch: a.Epoch, State: a.Place.String()})
	}
	return st
}

// figures returns the fleet's metrics; nil without a fleet.
func (f *fleetNode) figures() *metrics.Fleet {
	if f == nil {
		return nil
	}
	m := f.member.Stats()
	st := &metrics.Fleet{Node: m.Node, Leased: m.Leased, Nodes: len(m.Nodes), Takeovers: m.Takeovers, Carried: m.Carried,
		Carries: f.carriage.away(), Loose: m.Loose, Fenced: f.fenced.Load(), Differing: m.Differing}
	for _, a := range m.Apps {
		st.Apps = append(st.Apps, metrics.FleetApp{Name: a.Name, Here: a.Place == fleet.Here, Owner: a.Owner, Epoch: a.Epoch})
	}
	return st
}

// sentences returns what needs the operator's attention.
func (f *fleetNode) sentences() (all []string) {
	if f == nil {
		return nil
	}
	m := f.member.Stats()
	var taken *store.TakenError
	switch {
	case errors.As(m.Failing, &taken):
		all = append(all,
			fmt.Sprintf("%s is the name of another node too, at %s, and this one is without a lease: give one of both another "+
				"fleet.node, unless that is this node's process before a restart, whose lease ends in a moment", m.Node, taken.By))
	case m.Failing != nil:
		all = append(all, fmt.Sprintf("the lease of this node cannot be renewed: %s", m.Failing))
	}
	for _, a := range m.Apps {
		switch {
		case a.Place == fleet.Loose && f.spool.Commits:
			all = append(all,
				a.Name+": it is not known on which node it lives: with spool.mode always its providers are not read until it is")
		case a.Place == fleet.Loose:
			all = append(all,
				a.Name+": it is not known on which node it lives: its providers are told of no failure until it is")
		}
	}
	for _, name := range m.Differing {
		all = append(all,
			fmt.Sprintf("node %s has other apps, clients or credentials than this one: make both configurations "+
				"agree, and reload", name))
	}
	return all
}

// serveFleet answers GET /api/fleet.json.
func (s *Service) serveFleet(w http.ResponseWriter, _ *http.Request) {
	if s.fleet == nil {
		http.Error(w, "this gateway is no node of a fleet: see fleet in the configuration", http.StatusConflict)
		return
	}
	answerJSON(w, s.fleet.state())
}

// serveMove answers POST /apps/NAME/move?to=NODE once the app has moved.
func (s *Service) serveMove(w http.ResponseWriter, r *http.Request) {
	app, to := r.PathValue("name"), r.FormValue("to")
	if s.fleet == nil {
		http.Error(w, "this gateway is no node of a fleet: see fleet in the configuration", http.StatusConflict)
		return
	}
	if err := s.fleet.member.Move(r.Context(), app, to); err != nil {
		http.Error(w, fmt.Sprintf("app %.100s: %v", app, err), http.StatusConflict)
		return
	}
	s.log.Info().Str("app", app).Str("to", to).Msg("the app was moved, on the operator's word")
	fmt.Fprintf(w, "%s lives on %s\n", app, to)
}
