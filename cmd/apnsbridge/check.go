package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
)

type checkCommand struct {
	Config string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
}

// Help is the command's example.
func (checkCommand) Help() string {
	return `Reads the configuration and everything it names, tries the addresses, and prints
what it found; a sentence for each problem, and exit code 1 if there is any.

Example:

  apnsbridge check --config apnsbridge.yaml`
}

// Run checks, as far as the first problems let it.
func (c checkCommand) Run(std streams) error {
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	assembled, err := assemble(settings)
	err = errors.Join(err, checkListeners(settings))
	for _, app := range assembled.apps {
		if app.Credential != nil {
			fmt.Fprintf(std.out, "app %s: %s\n", app.Name, describe(app.Credential.Describe()))
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s: no problems\n", c.Config)
	return nil
}

func describe(d bridge.Description) string {
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
