package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"apnsbridge/cmd/apnsbridge/adminapi"
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

// Run prints where apps live.
func (c fleetStatusCommand) Run(ctx context.Context, std streams) error {
	var st shownFleet
	err := c.show(ctx, "/api/fleet.json", &st, c.JSON, std.out)
	if err == nil && !st.Leased {
		return errSaid
	}
	return err
}

// shownFleet is an answer as a person reads it.
type shownFleet adminapi.Fleet

func (st *shownFleet) print(out io.Writer) error {
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
