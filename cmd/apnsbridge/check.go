package main

import (
	"context"
	"encoding/json"
	"fmt"

	"apnsbridge/cmd/apnsbridge/server"
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
	found, err := server.Check(ctx, c.Config, server.CheckOptions{Connect: c.Connect, Setup: c.Setup, Listen: c.Listen})
	found.OK = found.OK && !(c.Strict && len(found.Alarms)+len(found.Warnings) > 0)
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
	if printed := found.Print(std.out); printed != nil {
		return printed
	}
	if err == nil && !found.OK {
		return fmt.Errorf("%s: alarms: %d, warnings: %d", c.Config, len(found.Alarms), len(found.Warnings))
	}
	return err
}
