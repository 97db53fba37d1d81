package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/fleet"
)

type fleetCommand struct {
	Status fleetStatusCommand `cmd:"" help:"Show the nodes, and where each app lives."`
	Move   fleetMoveCommand   `cmd:"" help:"Give an app to another node."`
}

type fleetStatusCommand struct {
	gatewayFlags `embed:""`
	JSON         bool `name:"json" help:"Print the gateway's own answer."`
}

// Help is the command's example.
func (fleetStatusCommand) Help() string {
	return `Asks the gateway that runs which nodes have a lease, and where each app lives. The exit
code is 1 if it has no lease itself.

Example:

  apnsbridge fleet status --config apnsbridge.yaml`
}

type fleetMoveCommand struct {
	gatewayFlags `embed:""`
	App          string `arg:"" help:"The app."`
	Node         string `arg:"" help:"The node that it is to live on."`
}

// Help is the command's example.
func (fleetMoveCommand) Help() string {
	return `Has the gateway that runs, and that the app lives on, give it to another node. Its
providers notice nothing: connections come to their end as at a restart.

Example:

  apnsbridge fleet move mail gw2 --config apnsbridge.yaml`
}

// fleetState is how a node sees its fleet, as GET /api/fleet.json answers.
type fleetState struct {
	Node   string          `json:"node"`
	Leased bool            `json:"leased"`
	Reason string          `json:"reason,omitempty"` // why the lease cannot be renewed
	Nodes  []fleetNodeRow  `json:"nodes"`
	Apps   []fleetAppPlace `json:"apps"`
}

type fleetNodeRow struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Linked    bool   `json:"linked"`
	Differing bool   `json:"differing"` // its configuration
}

type fleetAppPlace struct {
	Name  string `json:"name"`
	Node  string `json:"node"` // "" is none
	Epoch uint64 `json:"epoch"`
	State string `json:"state"` // on the node that is asked
}

func (f *fleetNode) state() fleetState {
	m, ours := f.member.Stats(), f.service.current.Load().fleet.digest
	st := fleetState{Node: m.Node, Leased: m.Leased, Nodes: []fleetNodeRow{}, Apps: []fleetAppPlace{}}
	if m.Failing != nil {
		st.Reason = m.Failing.Error()
	}
	for _, n := range m.Nodes {
		st.Nodes = append(st.Nodes, fleetNodeRow{n.Name, n.Address, n.Linked, n.Digest != ours})
	}
	for _, a := range m.Apps {
		st.Apps = append(st.Apps, fleetAppPlace{a.Name, a.Owner, a.Epoch, a.Place.String()})
	}
	return st
}

// figures are those for metrics; nil without a fleet.
func (f *fleetNode) figures() *metrics.Fleet {
	if f == nil {
		return nil
	}
	m := f.member.Stats()
	st := &metrics.Fleet{Node: m.Node, Leased: m.Leased, Nodes: len(m.Nodes), Takeovers: m.Takeovers, Carried: m.Carried,
		Carries: len(f.carriage.away()), Loose: m.Loose, Fenced: f.fenced.Load(), Differing: m.Differing}
	for _, a := range m.Apps {
		st.Apps = append(st.Apps, metrics.FleetApp{Name: a.Name, Here: a.Place == fleet.Here, Owner: a.Owner, Epoch: a.Epoch})
	}
	return st
}

// sentences say what is to be seen to.
func (f *fleetNode) sentences() (all []string) {
	if f == nil {
		return nil
	}
	m := f.member.Stats()
	if m.Failing != nil {
		all = append(all, fmt.Sprintf("the lease of this node cannot be renewed: %s", m.Failing))
	}
	for _, a := range m.Apps {
		if a.Place == fleet.Loose {
			all = append(all, a.Name+": it is not known on which node it lives: its providers are told of no failure until it is")
		}
	}
	for _, name := range m.Differing {
		all = append(all, fmt.Sprintf("node %s has other apps, clients or credentials than this one: make both configurations "+
			"agree, and reload", name))
	}
	return all
}

// serveFleet answers GET /api/fleet.json.
func (s *service) serveFleet(w http.ResponseWriter, _ *http.Request) {
	if s.fleet == nil {
		http.Error(w, "this gateway is no node of a fleet: see fleet in the configuration", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	printJSON(w, s.fleet.state())
}

// serveMove answers POST /apps/NAME/move?to=NODE, when the app has moved.
func (s *service) serveMove(w http.ResponseWriter, r *http.Request) {
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

// Run prints where apps live.
func (c fleetStatusCommand) Run(ctx context.Context, std streams) error {
	var st fleetState
	err := c.show(ctx, "/api/fleet.json", &st, c.JSON, std.out)
	if err == nil && !st.Leased {
		return errSaid
	}
	return err
}

func (st *fleetState) print(out io.Writer) error {
	if !st.Leased {
		fmt.Fprintf(out, "alarm: %s has no lease: %s\n", st.Node, strings.TrimSpace(st.Reason))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tADDRESS\tSTATE")
	for _, n := range st.Nodes {
		state := "linked"
		switch {
		case n.Name == st.Node:
			state = "asked"
		case !n.Linked:
			state = "no link"
		}
		if n.Differing {
			state += ", configured in another way"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", n.Name, n.Address, state)
	}
	fmt.Fprintln(table, "\t\t\nAPP\tNODE\tEPOCH")
	for _, a := range st.Apps {
		node := a.Node
		if node == "" {
			node = "none yet"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\n", a.Name, node, a.Epoch)
	}
	return table.Flush()
}

// Run has an app be moved.
func (c fleetMoveCommand) Run(ctx context.Context, std streams) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	body, err := client.ask(ctx, http.MethodPost, "/apps/"+url.PathEscape(c.App)+"/move?to="+url.QueryEscape(c.Node))
	if err != nil {
		return err
	}
	_, err = std.out.Write(body)
	return err
}
