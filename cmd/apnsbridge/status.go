package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/page"
)

type statusCommand struct {
	gatewayFlags `embed:""`
	JSON         bool `name:"json" help:"Print the gateway's own answer."`
}

// Help is the command's example.
func (statusCommand) Help() string {
	return `Asks the gateway that runs how it is: what is to be seen to, and how each app fares.
The exit code is 1 if it is not ready.

Example:

  apnsbridge status --config apnsbridge.yaml`
}

// Run prints what the gateway answers.
func (c statusCommand) Run(ctx context.Context, std streams) error {
	var st shownState
	err := c.show(ctx, "/api/state.json", &st, c.JSON, std.out)
	if err == nil && !st.Ready {
		return errSaid
	}
	return err
}

// shownState is an answer as a person reads it.
type shownState adminapi.State

func (st *shownState) print(out io.Writer) error {
	fmt.Fprintf(out, "%s; version %s, configuration of %s\n", st.State, st.Version,
		st.Loaded.UTC().Format(time.DateTime))
	for _, r := range st.Remarks {
		level := "warning"
		if r.Level == string(page.Bad) {
			level = "alarm"
		}
		if r.App != "" {
			level += ": " + r.App
		}
		fmt.Fprintf(out, "%s: %s\n", level, r.Text)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "APP\tTOPIC\tENVIRONMENT\tTAKEN\tACCEPTED\tBAD TOKENS\tGONE\tREFUSED\tSTATE")
	for _, troubled := range []bool{true, false} {
		for _, app := range st.Apps {
			if (app.Level == string(page.Bad)) == troubled {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", app.Name, app.Topic, app.Environment,
					page.Number(app.Taken), page.Number(app.Accepted), page.Number(app.BadTokens), page.Number(app.Gone),
					page.Number(app.Refused), app.State)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, app := range st.Apps {
		if app.Refusal != "" {
			fmt.Fprintf(out, "%s: last refused: %s\n", app.Name, app.Refusal)
		}
	}
	return nil
}

type reloadCommand struct {
	gatewayFlags `embed:""`
}

// Help is the command's example.
func (reloadCommand) Help() string {
	return `Has the gateway that runs read its configuration anew, as SIGHUP does, and says what
came of it: what has changed, or why everything stays as it was.

Example:

  apnsbridge check --config apnsbridge.yaml && apnsbridge reload --config apnsbridge.yaml`
}

// Run asks for a reload.
func (c reloadCommand) Run(ctx context.Context, std streams) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	body, err := client.ask(ctx, http.MethodPost, "/reload")
	if err != nil {
		return err
	}
	_, err = std.out.Write(body)
	return err
}
