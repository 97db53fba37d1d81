package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"apnsbridge/bridge"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
)

type checkCommand struct {
	Config  string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
	Connect bool   `help:"Also reach APNs for each app, and show it credential and topic. Nothing is pushed to a device."`
	Listen  bool   `help:"Try the addresses even if a gateway runs, which fails where it has them."`
	Strict  bool   `help:"Fail on alarms and warnings too."`
	JSON    bool   `name:"json" help:"Print one object: {ok, problems, alarms, warnings, apps, listeners}."`
	Schema  bool   `help:"Print the JSON schema of configurations, for editors, and check nothing."`
}

// Help is the command's example.
func (checkCommand) Help() string {
	return `Reads the configuration and everything it names, as serve would, and prints what
it found, trouble first. It fails exactly where serve, or a reload, would refuse:

  problem   serve does not start
  alarm     serve starts, and something is not served: an app whose credential
            has expired, say. The others are.
  warning   what is going to be a problem, or is hardly meant so

Beside a gateway that runs with the same store it leaves the addresses alone.

Example:

  apnsbridge check --config apnsbridge.yaml --connect && apnsbridge reload`
}

// findings are what check has found, as --json prints them.
type findings struct {
	Config    string         `json:"config"`
	OK        bool           `json:"ok"`
	Problems  []finding      `json:"problems"`
	Alarms    []finding      `json:"alarms"`
	Warnings  []finding      `json:"warnings"`
	Apps      []appFinding   `json:"apps"`
	Listeners []listenerNote `json:"listeners"`
}

type finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Text    string `json:"text"`
}

type appFinding struct {
	Name        string `json:"name"`
	Topic       string `json:"topic"`
	Environment string `json:"environment"`
	Credential  string `json:"credential"`
	Expires     string `json:"expires,omitempty"`
	DryRun      bool   `json:"dry_run,omitempty"`
	held        bool
}

// Run checks, as far as the first problems let it.
func (c checkCommand) Run(ctx context.Context, std streams) error {
	if c.Schema {
		return printSchema(std.out)
	}
	found := &findings{
		Config: c.Config, Problems: []finding{}, Alarms: []finding{}, Warnings: []finding{}, Apps: []appFinding{}, Listeners: []listenerNote{},
	}
	err := c.look(ctx, found, std.out)
	found.add(err)
	found.OK = len(found.Problems) == 0 && !(c.Strict && len(found.Alarms)+len(found.Warnings) > 0)
	switch {
	case c.JSON:
		encoder := json.NewEncoder(std.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(found); err != nil || found.OK {
			return err
		}
		return errSaid
	default:
		found.print(std.out)
	}
	if err == nil && !found.OK {
		return fmt.Errorf("%s: alarms: %d, warnings: %d", c.Config, len(found.Alarms), len(found.Warnings))
	}
	return err
}

// look collects what there is to be found. The error joins the problems.
func (c checkCommand) look(ctx context.Context, found *findings, out io.Writer) error {
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	assembled, err := assemble(settings)
	usable := err == nil
	listeners, listening := assembled.checkListeners(c.Listen)
	found.Listeners = append(found.Listeners, listeners...)
	err = errors.Join(err, listening)
	for _, app := range assembled.apps {
		found.Apps = append(found.Apps, assembled.appFinding(app))
	}
	found.warn(assembled.warnings())
	if c.Connect && usable {
		if c.JSON {
			out = io.Discard
		}
		clock, refused := assembled.connect(ctx, out)
		found.warn(clock)
		err = errors.Join(err, refused)
	}
	return err
}

// warn takes alarms and warnings.
func (f *findings) warn(all []warning) {
	for _, w := range all {
		one := finding{Setting: w.setting, Text: w.text}
		if w.alarm {
			f.Alarms = append(f.Alarms, one)
		} else {
			f.Warnings = append(f.Warnings, one)
		}
	}
}

// add takes a problem, or each of those that err joins.
func (f *findings) add(err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			f.add(err)
		}
		return
	}
	var p config.Problem
	if errors.As(err, &p) {
		f.Problems = append(f.Problems, finding{File: p.File, Line: p.Line, Text: p.Text})
		return
	}
	setting, _, _ := strings.Cut(err.Error(), ": ")
	f.Problems = append(f.Problems, finding{Setting: setting, Text: err.Error()})
}

// fewApps are as many as are listed one by one.
const fewApps = 20

// print writes alarms and warnings, and then what is in order. The problems are
// the command's error.
func (f *findings) print(out io.Writer) {
	paint := painter(out)
	for _, a := range f.Alarms {
		fmt.Fprintf(out, "%s %s\n", paint(31, "alarm:"), a.Text)
	}
	for _, w := range f.Warnings {
		fmt.Fprintf(out, "%s %s\n", paint(33, "warning:"), w.Text)
	}
	for _, l := range f.Listeners {
		if l.State != stateFree {
			fmt.Fprintf(out, "%s %s: %s\n", l.Setting, l.Address, l.State)
		}
	}
	if len(f.Apps) > fewApps {
		f.printCounts(out)
	} else {
		for _, app := range f.Apps {
			if !app.held {
				fmt.Fprintf(out, "app %s: %s\n", app.Name, app.Credential)
			}
		}
	}
	if len(f.Problems) > 0 {
		return
	}
	fmt.Fprintf(out, "%s: no problems", f.Config)
	if len(f.Alarms) > 0 {
		fmt.Fprintf(out, ", alarms: %d", len(f.Alarms))
	}
	if len(f.Warnings) > 0 {
		fmt.Fprintf(out, ", warnings: %d", len(f.Warnings))
	}
	fmt.Fprintln(out)
}

// printCounts says of many apps what they have in common.
func (f *findings) printCounts(out io.Writer) {
	held, certificates, soonest := 0, 0, ""
	for _, app := range f.Apps {
		if app.held {
			held++
		}
		if app.Expires != "" {
			certificates++
			if soonest == "" || app.Expires < soonest {
				soonest = app.Expires
			}
		}
	}
	fmt.Fprintf(out, "apps: %d", len(f.Apps))
	if held > 0 {
		fmt.Fprintf(out, ", on hold: %d", held)
	}
	fmt.Fprintf(out, ", with a token: %d", len(f.Apps)-held-certificates)
	if certificates > 0 {
		fmt.Fprintf(out, ", with a certificate: %d, of which the first expires on %s", certificates, soonest)
	}
	fmt.Fprintln(out)
}

// painter colours a word, on a terminal only.
func painter(out io.Writer) func(color int, word string) string {
	file, ok := out.(*os.File)
	if !ok || !isatty.IsTerminal(file.Fd()) || os.Getenv("NO_COLOR") != "" {
		return func(_ int, word string) string { return word }
	}
	return func(color int, word string) string { return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", color, word) }
}

func (a *assembly) appFinding(app bridge.App) appFinding {
	f := appFinding{Name: app.Name, Topic: a.config.Apps[app.Name].Topic,
		Environment: a.config.Apps[app.Name].Environment, Credential: describeAll(app, describe), DryRun: app.DryRun, held: !isServed(app)}
	if first, ok := firstExpiry(app); ok {
		f.Expires = first.UTC().Format(time.DateOnly)
	}
	return f
}

// describeAll describes what an app shows to APNs: where that is more than one
// thing, each with what it is for.
func describeAll(app bridge.App, describe func(upstream.Description) string) string {
	var all []string
	for _, c := range app.Credentials {
		text := describe(c.Describe())
		if len(app.Credentials) > 1 {
			if c.Environment != bridge.ByListener {
				text = c.Environment.String() + ": " + text
			}
			if len(c.Topics) > 0 {
				text += " for " + few(c.Topics)
			}
		}
		all = append(all, text)
	}
	return few(all)
}

func describe(d upstream.Description) string {
	switch d.Kind {
	case "none":
		return "on hold"
	case "token":
		return fmt.Sprintf("token key %s of team %s", d.KeyID, d.TeamID)
	}
	days := int(time.Until(d.Expires).Hours() / 24)
	return fmt.Sprintf("certificate for %s, good until %s (%d days)", d.Topic, d.Expires.Format(time.DateOnly), days)
}
