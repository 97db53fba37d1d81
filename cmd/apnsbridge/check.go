package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"apnsbridge/cmd/apnsbridge/config"
)

type checkCommand struct {
	Config  string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
	Connect bool   `help:"Also reach APNs for each app, and show it credential and topic, and a fleet's PostgreSQL. Nothing is pushed to a device."`
	Setup   bool   `help:"Make the schema of a fleet in its PostgreSQL, or bring it up to date. Nothing else does."`
	Listen  bool   `help:"Try the addresses even if a gateway runs, which fails where it has them."`
	Strict  bool   `help:"Fail on alarms and warnings too."`
	JSON    bool   `name:"json" help:"Print one object: {ok, problems, alarms, warnings, apps, listeners}."`
	Schema  bool   `help:"Print the JSON schema of configurations, for editors, and check nothing."`
}

// Help is the command's example.
func (checkCommand) Help() string {
	return `Reads the configuration and everything it names, as serve would, and prints what
it found: a sentence for each trouble, then a table of the apps, those with trouble
first; many that are in order are counted. It fails exactly where serve, or a
reload, would refuse:

  problem   serve does not start
  alarm     serve starts, and something is not served: an app whose credential
            has expired, say. The others are.
  warning   what is going to be a problem, or is hardly meant so

Beside a gateway that runs with the same store it leaves the addresses alone.

Example:

  apnsbridge check --config apnsbridge.yaml --connect && apnsbridge reload`
}

// Run checks, as far as the first problems let it.
func (c checkCommand) Run(ctx context.Context, std streams) error {
	if c.Schema {
		return printSchema(std.out)
	}
	found := &findings{
		Config: c.Config, Problems: []finding{}, Alarms: []finding{}, Warnings: []finding{}, Apps: []appFinding{},
		Listeners: []listenerNote{},
	}
	err := c.look(ctx, found)
	found.add(err)
	found.rate()
	found.OK = len(found.Problems) == 0 && !(c.Strict && len(found.Alarms)+len(found.Warnings) > 0)
	if c.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(found); err != nil || found.OK {
			return err
		}
		return errSaid
	}
	if err != nil { // trouble first, in the words of serve
		printError(err, std.err)
		err = errSaid
	}
	if printed := found.print(std.out, painter(std.out)); printed != nil {
		return printed
	}
	if err == nil && !found.OK {
		return fmt.Errorf("%s: alarms: %d, warnings: %d", c.Config, len(found.Alarms), len(found.Warnings))
	}
	return err
}

// look collects what there is to be found. The error joins the problems.
func (c checkCommand) look(ctx context.Context, found *findings) error {
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
	if c.Setup && usable {
		err = errors.Join(err, assembled.setUp(ctx))
	}
	if (c.Connect || c.Setup) && usable {
		state, doubts, unfit := assembled.reachPostgres(ctx)
		found.Postgres = state
		found.warn(doubts)
		err = errors.Join(err, unfit)
	}
	if c.Connect && usable {
		answers, clock, refused := assembled.connect(ctx)
		for i, app := range found.Apps {
			found.Apps[i].APNs = answers[app.Name]
		}
		found.warn(clock)
		err = errors.Join(err, refused)
	}
	return err
}
