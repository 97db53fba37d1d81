package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway/provider"
)

type tryCommand struct {
	Config  string        `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration of the gateway that runs."`
	App     string        `placeholder:"NAME" help:"The app whose provider is played. Default: the only one."`
	Cert    string        `placeholder:"FILE" help:"The certificate that the provider shows, PEM. Default: none."`
	Key     string        `placeholder:"FILE" help:"Its key, PEM. Default: in the certificate's file."`
	Token   string        `placeholder:"HEX" help:"A device that is to get the notification. Default: one that no phone has, so that APNs has to refuse it."`
	Payload string        `placeholder:"JSON" default:"{\"aps\":{\"alert\":\"apnsbridge try\"}}" help:"The payload."`
	Wait    time.Duration `default:"10s" help:"How long to wait for an answer."`
}

// Help is the command's example.
func (tryCommand) Help() string {
	return `Plays a provider: connects to the gateway of the configuration as a redirected provider
does, pushes one notification, and says in words how far it came.

Example:

  apnsbridge try --app mail --cert push.pem`
}

// nowhere is a token as no device has one: real ones are random, or longer.
const nowhere = "bad0000000000000000000000000000000000000000000000000000000000000"

// Run goes the provider's way, a step a line.
func (c tryCommand) Run(ctx context.Context, std streams) error {
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	app, err := c.app(settings)
	if err != nil {
		return err
	}
	note, err := c.notification()
	if err != nil {
		return err
	}
	shown, err := c.tls(settings, app)
	if err != nil {
		return err
	}
	address := c.address(settings, app)
	conn, err := provider.Dial(ctx, address, shown)
	if err != nil {
		return tryProblem(address, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Abort() })
	defer stop()
	fmt.Fprintf(std.out, "connected to %s with %s, asking for %s: the certificate is one that a provider with "+
		"this authority takes\n",
		address, tls.VersionName(conn.ConnectionState().Version), shown.ServerName)
	if _, err := conn.Write(note.Append(nil)); err != nil {
		return tryProblem(address, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(c.Wait)); err != nil {
		return err
	}
	answer, err := conn.ReadResponse()
	return c.explain(std.out, answer, err)
}

// app finds the app whose provider is played.
func (c *tryCommand) app(settings *config.Config) (app config.App, err error) {
	if c.App, err = chosenApp(settings, c.App); err != nil {
		return app, err
	}
	return settings.Apps[c.App], nil
}

// chosenApp is the app that --app names, or the only one.
func chosenApp(settings *config.Config, name string) (string, error) {
	names := slices.Sorted(maps.Keys(settings.Apps))
	switch {
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", usageError{fmt.Errorf("there are several apps: give --app with one of %s", config.Few(names))}
	}
	if _, ok := settings.Apps[name]; !ok {
		return "", usageError{fmt.Errorf("--app %q is not configured: choose one of %s", config.Clip(name),
			config.Few(names))}
	}
	return name, nil
}

func (c *tryCommand) notification() (binproto.Notification, error) {
	text := c.Token
	if text == "" {
		text = nowhere
	}
	token, err := parseToken(text)
	if err != nil {
		return binproto.Notification{}, usageError{fmt.Errorf("--token: %w", err)}
	}
	return binproto.Notification{
		Command: binproto.Enhanced, Identifier: 1, Token: token, Payload: []byte(c.Payload),
		Expiry: uint32(time.Now().Add(time.Hour).Unix()),
	}, nil
}

// address is the listener of the app's environment.
func (c *tryCommand) address(settings *config.Config, app config.App) string {
	listeners := settings.Gateway.Listen
	for _, l := range listeners {
		if l.Environment == app.Environment {
			return dialable(l.Address)
		}
	}
	return dialable(listeners[0].Address)
}

// tls is that of a redirected provider, with the certificate that --cert names.
func (c *tryCommand) tls(settings *config.Config, app config.App) (*tls.Config, error) {
	name := authority.AppleNames[0]
	if app.Environment == "sandbox" {
		name = authority.AppleNames[2]
	}
	shown, err := server.ProviderTLS(settings, name)
	if err != nil {
		return nil, err
	}
	if c.Cert == "" {
		return shown, nil
	}
	key := c.Key
	if key == "" {
		key = c.Cert
	}
	own, err := smallfile.Pair(c.Cert, key)
	if err != nil {
		return nil, fmt.Errorf("--cert %s with key %s: %w", c.Cert, key, err)
	}
	shown.Certificates = []tls.Certificate{own}
	return shown, nil
}

// tryProblem says where a provider is stopped.
func tryProblem(address string, err error) error {
	var foreign x509.UnknownAuthorityError
	switch {
	case errors.As(err, &foreign):
		return fmt.Errorf("a provider refuses the gateway's certificate, for it does not trust who has signed it: " +
			"give it the authority's certificate")
	case strings.Contains(err.Error(), "connection refused"):
		return fmt.Errorf("nothing listens on %s: start the gateway with apnsbridge serve", address)
	case strings.Contains(err.Error(), "remote error: tls:"):
		return errNotAdmitted
	}
	return err
}

var errNotAdmitted = errors.New("the gateway does not admit this provider: its log says why, and what admits it; " +
	"show the certificate of the app's clients with --cert")

// explain says what an answer means, or that there is none.
func (c *tryCommand) explain(out io.Writer, answer binproto.Response, err error) error {
	var timeout net.Error
	made := c.Token == ""
	switch {
	case err == nil && answer.Status == binproto.InvalidToken && made:
		fmt.Fprintln(out, "the notification went to APNs, which refuses its token, as it should: no phone has it. "+
			"The way is open.")
		return nil
	case err == nil:
		return fmt.Errorf("the gateway answers status %d (%v): the notification did not go through; its log says why",
			answer.Status, answer.Status)
	case errors.As(err, &timeout) && timeout.Timeout() && made:
		return fmt.Errorf("no answer in %v: the notification waits in the gateway, for APNs does not take it, "+
			"or the app says nothing about bad tokens (on_bad_token); see apnsbridge status", c.Wait)
	case errors.As(err, &timeout) && timeout.Timeout():
		fmt.Fprintf(out, "no error in %v, which is how success looks: the notification is taken. apnsbridge "+
			"status says whether APNs has accepted it.\n", c.Wait)
		return nil
	case strings.Contains(err.Error(), "remote error: tls:") || errors.Is(err, io.EOF):
		return errNotAdmitted
	}
	return fmt.Errorf("the connection broke before an answer: %w", err)
}
