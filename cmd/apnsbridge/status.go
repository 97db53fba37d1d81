package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"apnsbridge/bridge"
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

// state is how the gateway is, as GET /api/state.json answers.
type state struct {
	Ready   bool          `json:"ready"`
	State   string        `json:"state"`
	Version string        `json:"version"`
	Loaded  time.Time     `json:"loaded"` // when the configuration was read
	Remarks []stateRemark `json:"remarks"`
	Limits  []stateLimit  `json:"limits"`
	Refused []stateClient `json:"refused_clients"` // at the door, latest first
	Apps    []stateApp    `json:"apps"`
}

// stateLimit is a bound, by its name in the configuration.
type stateLimit struct {
	Name string `json:"name"`
	Used int64  `json:"used"`
	Peak int64  `json:"peak"` // since the start
	Max  int64  `json:"max"`
}

// stateClient is one that was not admitted.
type stateClient struct {
	Last    time.Time `json:"last"`
	Address string    `json:"address"`
	Subject string    `json:"subject,omitempty"`
	Reason  string    `json:"reason"`
	Admit   string    `json:"admit"` // the line that would, under the clients of its app
	Times   int       `json:"times"`
}

type stateRemark struct {
	Level string `json:"level"`
	App   string `json:"app,omitempty"`
	Text  string `json:"text"`
}

type stateApp struct {
	Name        string  `json:"name"`
	Topic       string  `json:"topic"`
	Environment string  `json:"environment"`
	Level       string  `json:"level"`
	State       string  `json:"state"`
	Credential  string  `json:"credential"`
	Connections int     `json:"connections"`
	Taken       uint64  `json:"taken"`
	Accepted    uint64  `json:"accepted"`
	BadTokens   uint64  `json:"bad_tokens"`
	Gone        uint64  `json:"unregistered"`
	Refused     uint64  `json:"refused"`
	Waiting     int     `json:"waiting"`
	OnDisk      int     `json:"on_disk"`
	OldestAge   float64 `json:"oldest_waiting_age_seconds"`
	P99         float64 `json:"verdict_p99_seconds"`    // from taken to APNs' verdict, since the start
	Refusal     string  `json:"last_refusal,omitempty"` // what APNs has refused last, and why

	Failures []stateFailure `json:"failures,omitempty"` // the latest refused frames and error packets, latest first
}

// stateFailure is a refused frame, or an error packet.
type stateFailure struct {
	Time       time.Time `json:"time"`
	Status     uint8     `json:"status"`
	Identifier *uint32   `json:"identifier,omitempty"`
	Token      string    `json:"token,omitempty"` // its beginning
	Reason     string    `json:"reason"`
	Client     string    `json:"client,omitempty"` // the provider
	Address    string    `json:"address,omitempty"`
	Told       time.Time `json:"told,omitzero"` // when, if an error packet told it
}

func stateFailures(all []bridge.Failure) (shown []stateFailure) {
	for _, f := range all {
		one := stateFailure{Time: f.Time.UTC(), Status: uint8(f.Status), Token: f.Device, Reason: f.Reason, Client: f.Client, Address: f.Address}
		if f.Named {
			one.Identifier = &f.Identifier
		}
		if !f.Told.IsZero() {
			one.Told = f.Told.UTC()
		}
		shown = append(shown, one)
	}
	return shown
}

// state takes a snapshot.
func (s *service) state(stopping bool) state {
	f := s.facts(stopping)
	st := state{Ready: f.Ready, State: f.State, Version: f.Version, Loaded: f.Loaded, Remarks: []stateRemark{},
		Limits: []stateLimit{}, Refused: []stateClient{}, Apps: []stateApp{}}
	for _, l := range f.Limits {
		st.Limits = append(st.Limits, stateLimit(l))
	}
	for _, r := range f.Refused {
		st.Refused = append(st.Refused, stateClient{r.Last.UTC(), r.Address, r.Subject, r.Reason, r.Line, r.Times})
	}
	for _, r := range f.Remarks {
		st.Remarks = append(st.Remarks, stateRemark{string(r.Level), r.App, r.Text})
	}
	for _, row := range f.Apps {
		st.Apps = append(st.Apps, stateApp{
			Name: row.Name, Topic: row.Topic, Environment: row.Environment, Level: string(row.Level), State: row.State, Credential: row.Credential,
			Connections: row.Connections, Taken: row.Taken, Accepted: row.Accepted, BadTokens: row.BadTokens, Gone: row.Gone,
			Refused: row.Refused, Waiting: row.Waiting, OnDisk: row.OnDisk, OldestAge: row.Oldest.Seconds(), P99: row.P99.Seconds(),
			Refusal: row.Refusal, Failures: stateFailures(s.bridge.Failures(row.Name)),
		})
	}
	return st
}

// serveState answers GET /api/state.json.
func (s *service) serveState(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	printJSON(w, s.state(s.admin.stopping.Load()))
}

// Run prints what the gateway answers.
func (c statusCommand) Run(ctx context.Context, std streams) error {
	var st state
	err := c.show(ctx, "/api/state.json", &st, c.JSON, std.out)
	if err == nil && !st.Ready {
		return errSaid
	}
	return err
}

func (st *state) print(out io.Writer) error {
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

// serveReload answers POST /reload, when the reload has been done or refused.
func (s *service) serveReload(w http.ResponseWriter, r *http.Request) {
	answer := make(chan reloadOutcome, 1)
	select {
	case s.asked <- answer:
	case <-r.Context().Done():
		return
	}
	select {
	case outcome := <-answer:
		if outcome.err != nil {
			http.Error(w, "reload refused, everything stays as it was: "+outcome.err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprintf(w, "reloaded; changes: %s\n", outcome.changes)
		for _, alarm := range outcome.alarms {
			fmt.Fprintf(w, "alarm: %s\n", alarm.text)
		}
	case <-r.Context().Done():
	}
}
