package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"apnsbridge/bridge/trace"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/quoting"
)

type traceCommand struct {
	gatewayFlags `embed:""`
	App          string        `placeholder:"NAME" help:"Whose notifications. Default: the only app's."`
	Token        string        `placeholder:"HEX" help:"The beginning of device tokens. Default: all."`
	For          time.Duration `default:"10m" help:"How long the gateway traces; 0s ends that."`
	Payloads     bool          `help:"Keep the texts of payloads too."`
	Identifier   *uint32       `placeholder:"N" help:"Show only the one that its provider has named so."`
	APNsID       string        `name:"apns-id" placeholder:"UUID" help:"Show only the one with this apns_id in the log."`
	Show         bool          `help:"Switch nothing on: print what there is, and end."`
	Curl         bool          `help:"Print each push as a provider would make it that speaks HTTP/2 to APNs."`
	JSON         bool          `name:"json" help:"With --show, print the gateway's own answer."`
}

// Help is the command's example.
func (traceCommand) Help() string {
	return `Has the gateway that runs trace notifications for a while, and prints what becomes of each:
taken, why it waits, sent to APNs, answered, told to its provider, or swallowed because it
was sent before. Ctrl-C ends the printing; the trace ends with its time, or with --for 0s.
Of a token no more is shown than was asked for, and eight digits at least.

Example:

  apnsbridge trace --app mail --token 31ab --for 10m --curl`
}

// tracePoll is how often the gateway is asked what is new.
const tracePoll = 500 * time.Millisecond

// Run switches the trace on, and prints what comes until it is over.
func (c traceCommand) Run(ctx context.Context, std streams) error {
	settings, err := config.LoadAdmin(c.Config)
	if err != nil {
		return err
	}
	if c.App, err = chosenApp(settings, c.App); err != nil {
		return err
	}
	if _, err := trace.ParsePrefix(c.Token); err != nil {
		return usageError{fmt.Errorf("--token: %w", err)}
	}
	if c.JSON && !c.Show {
		return usageError{fmt.Errorf("--json goes with --show")}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	path := "/apps/" + url.PathEscape(c.App) + "/trace?"
	if !c.Show {
		if err := c.start(ctx, client, path, std.out); err != nil || c.For == 0 {
			return err
		}
	}
	printed := make(map[string]int) // steps, by apns-id
	for {
		body, err := client.ask(ctx, http.MethodGet, path+c.question().Encode())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case c.JSON:
			_, err := std.out.Write(body)
			return err
		}
		var answer adminapi.Trace
		if err := json.Unmarshal(body, &answer); err != nil {
			return client.notOurs()
		}
		c.print(std.out, answer.Notes, printed)
		if c.Show && len(answer.Notes) == 0 {
			fmt.Fprintln(std.out, "nothing of this was traced")
		}
		if c.Show || len(answer.Tracing) == 0 {
			return nil
		}
		select {
		case <-time.After(tracePoll):
		case <-ctx.Done():
			return nil
		}
	}
}

// start switches the trace on, or off with --for 0s.
func (c traceCommand) start(ctx context.Context, client *adminClient, path string, out io.Writer) error {
	query := url.Values{"token": {c.Token}, "for": {c.For.String()}}
	if c.Payloads {
		query.Set("payloads", "yes")
	}
	if _, err := client.ask(ctx, http.MethodPost, path+query.Encode()); err != nil {
		return err
	}
	what := "all tokens"
	if c.Token != "" {
		what = "tokens that begin with " + c.Token
	}
	if c.For == 0 {
		_, err := fmt.Fprintf(out, "app %s, %s: traced no longer\n", c.App, what)
		return err
	}
	_, err := fmt.Fprintf(out, "app %s, %s: traced for %v\n", c.App, what, c.For)
	return err
}

func (c traceCommand) question() url.Values {
	query := url.Values{"token": {c.Token}, "apns_id": {c.APNsID}}
	if c.Identifier != nil {
		query.Set("identifier", fmt.Sprint(*c.Identifier))
	}
	return query
}

// print prints the steps that are new, a line each, and notes how many that were.
func (c traceCommand) print(out io.Writer, notes []adminapi.TracedNote, printed map[string]int) {
	for _, n := range notes {
		seen, known := printed[n.APNsID]
		if !known && c.Curl {
			fmt.Fprint(out, quoting.Terminal(n.Curl))
		}
		total := n.Missing + len(n.Steps)
		for _, s := range n.Steps[max(0, len(n.Steps)-(total-seen)):] {
			name := "-"
			if n.Identifier != nil {
				name = fmt.Sprint(*n.Identifier)
			}
			line := fmt.Sprintf("%s  %s…  identifier %s  apns-id %s  %s", s.At.Local().Format("15:04:05.000"),
				n.Token, name, n.APNsID, s.What)
			if s.Detail != "" {
				line += ": " + s.Detail
			}
			fmt.Fprintln(out, quoting.Terminal(strings.TrimSpace(line)))
		}
		printed[n.APNsID] = total
	}
}
