package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"apnsbridge/bridge/apnssim/courier"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway/identity"
)

type deviceCommand struct {
	Sim         address  `default:"127.0.0.1:2199" placeholder:"HOST:PORT" help:"The simulator's courier."`
	CA          string   `name:"ca" default:"apnsbridge-sim/ca.pem" placeholder:"FILE" help:"Who signs the simulator's certificate, PEM."`
	Bundle      []string `default:"com.example.demo" placeholder:"ID" help:"The app, by its bundle identifier; may be given again."`
	Environment string   `default:"production" enum:"production,sandbox" help:"For which the app is built."`
	Name        string   `placeholder:"NAME" help:"The device's name: with the same name the app keeps its token. Default: the machine's."`
	Uninstall   bool     `help:"Uninstall the app instead, and end: the next push to it is answered with 410."`
	JSON        bool     `name:"json" help:"Print an object a line."`
}

// Help is the command's example.
func (deviceCommand) Help() string {
	return `Is a phone in a terminal: it connects to a simulator, registers the app, prints its
device token, and shows what arrives. It is offline once it ends; when it comes back
it finds the last notification of each app.

Example:

  apnsbridge sim
  apnsbridge device --bundle com.example.demo`
}

// Run is online until a signal.
func (c deviceCommand) Run(ctx context.Context, std streams) error {
	pool, err := smallfile.Pool(c.CA)
	if err != nil {
		return err
	}
	if c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			return fmt.Errorf("the machine has no name, give one with --name: %w", err)
		}
	}
	phone, err := courier.Return(ctx, string(c.Sim), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, c.Name)
	if err != nil {
		var foreign x509.UnknownAuthorityError
		if errors.As(err, &foreign) {
			return fmt.Errorf("the certificate of the simulator at %s is of another authority than %s: name the simulator's "+
				"own ca.pem with --ca", c.Sim, c.CA)
		}
		return fmt.Errorf("%w: start it with `apnsbridge sim`, or say where it is with --sim", upstream.Plain(err))
	}
	defer phone.Close()
	if c.Uninstall {
		for _, app := range c.apps() {
			if err := phone.Uninstall(ctx, app); err != nil {
				return err
			}
			fmt.Fprintf(std.out, "%s is uninstalled from %s\n", app.Bundle, identity.Clip(c.Name))
		}
		return nil
	}
	for _, app := range c.apps() {
		token, err := phone.Register(ctx, app)
		if err != nil {
			return err
		}
		if err := c.printToken(std.out, app, token); err != nil {
			return err
		}
	}
	for {
		n, err := phone.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.print(std.out, n); err != nil {
			return err
		}
	}
}

func (c deviceCommand) apps() []courier.App {
	var all []courier.App
	for _, bundle := range c.Bundle {
		all = append(all, courier.App{Bundle: bundle, Environment: c.Environment})
	}
	return all
}

func (c deviceCommand) printToken(out io.Writer, app courier.App, token []byte) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(courier.Token{App: app, Token: fmt.Sprintf("%x", token)})
	}
	_, err := fmt.Fprintf(out, "%s on %s has the device token %x\n", app.Bundle, identity.Clip(c.Name), token)
	return err
}

func (c deviceCommand) print(out io.Writer, n *courier.Notification) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(n)
	}
	shown, err := courier.ParseBanner(n.Payload)
	text := shown.String()
	if err != nil {
		text = fmt.Sprintf("(nothing is shown: %v)", err)
	}
	kept := ""
	if n.Kept {
		kept = " (sent while the device was offline)"
	}
	_, err = fmt.Fprintf(out, "%s %s: %s%s\n", time.Now().Format(time.TimeOnly), n.Bundle, identity.Clip(text), kept)
	return err
}
