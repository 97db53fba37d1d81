package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
)

type checkCommand struct {
	Config  string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
	Connect bool   `help:"Also reach APNs for each app, and show it credential and topic. Nothing is pushed to a device."`
}

// Help is the command's example.
func (checkCommand) Help() string {
	return `Reads the configuration and everything it names, tries the addresses, and prints
what it found; a sentence for each problem, and exit code 1 if there is any.
Warnings are about what is going to be a problem, or should be safer.

Example:

  apnsbridge check --config apnsbridge.yaml --connect`
}

// Run checks, as far as the first problems let it.
func (c checkCommand) Run(ctx context.Context, std streams) error {
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	assembled, err := assemble(settings)
	usable := err == nil
	err = errors.Join(err, checkListeners(settings))
	for _, app := range assembled.apps {
		if app.Credential != nil {
			fmt.Fprintf(std.out, "app %s: %s\n", app.Name, describe(app.Credential.Describe()))
		}
	}
	warnings := assembled.warnings()
	for _, w := range warnings {
		fmt.Fprintf(std.out, "warning: %s\n", w.text)
	}
	if c.Connect && usable {
		err = errors.Join(err, assembled.connect(ctx, std.out))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s: no problems", c.Config)
	if len(warnings) > 0 {
		fmt.Fprintf(std.out, ", warnings: %d", len(warnings))
	}
	fmt.Fprintln(std.out)
	return nil
}

func describe(d upstream.Description) string {
	if d.Kind == "token" {
		return fmt.Sprintf("token key %s of team %s", d.KeyID, d.TeamID)
	}
	days := int(time.Until(d.Expires).Hours() / 24)
	return fmt.Sprintf("certificate for %s, good until %s (%d days)", d.Topic, d.Expires.Format(time.DateOnly), days)
}

// checkListeners opens each address and closes it again.
func checkListeners(c *config.Config) error {
	var errs []error
	try := func(setting, address string) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			errs = append(errs, listenProblem(setting, err))
			return
		}
		listener.Close()
	}
	for _, a := range c.Gateway.Listen {
		try("gateway.listen", a.Address)
	}
	for _, a := range c.Feedback.Listen {
		try("feedback.listen", a.Address)
	}
	if c.Admin.Listen != "" {
		try("admin.listen", c.Admin.Listen)
	}
	return errors.Join(errs...)
}
