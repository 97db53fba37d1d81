package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"apnsbridge/bridge/apnssim"
)

type simCommand struct {
	Listen   string `default:"127.0.0.1:2197" placeholder:"HOST:PORT" help:"Where it is APNs."`
	Cert     string `required:"" placeholder:"FILE" help:"Its certificate, PEM."`
	Key      string `required:"" placeholder:"FILE" help:"The certificate's key, PEM."`
	ClientCA string `name:"client-ca" placeholder:"FILE" help:"Who signs the certificates that stand for a provider token, PEM. Default: tokens only."`
	Control  string `default:"127.0.0.1:2198" placeholder:"HOST:PORT" help:"Where the control API is."`
	Scenario string `placeholder:"FILE" help:"How it behaves, JSON. Default: as a healthy APNs."`
}

// Help is the command's example.
func (simCommand) Help() string {
	return `Behaves like APNs on the real wire, for trying out and for tests. Unknown device
tokens are active; those that begin with bad0 are bad, those with dead are gone.

Example:

  apnsbridge certs --dir certs
  apnsbridge sim --cert certs/server.pem --key certs/server-key.pem
  curl http://127.0.0.1:2198/received`
}

// Run serves until a signal.
func (c simCommand) Run(ctx context.Context, std streams) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	sim, err := apnssim.Start(config)
	if err != nil {
		return err
	}
	defer sim.Close()
	listener, err := net.Listen("tcp", c.Control)
	if err != nil {
		return fmt.Errorf("control API: %w", err)
	}
	control := &http.Server{Handler: sim.Control(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- control.Serve(listener) }()
	fmt.Fprintf(std.out, "APNs simulator on %s, control API on http://%s\n", sim.URL(), listener.Addr())
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	return errors.Join(err, control.Close())
}

func (c simCommand) config() (apnssim.Config, error) {
	config := apnssim.Config{Listen: c.Listen}
	var err error
	if config.Certificate, err = tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
		return config, fmt.Errorf("the certificate %s with key %s: %w", c.Cert, c.Key, err)
	}
	if c.ClientCA != "" {
		if config.ClientCAs, err = readPool(c.ClientCA); err != nil {
			return config, err
		}
	}
	if c.Scenario != "" {
		text, err := os.ReadFile(c.Scenario)
		if err != nil {
			return config, fmt.Errorf("scenario: %w", err)
		}
		if config.Scenario, err = apnssim.ParseScenario(text); err != nil {
			return config, fmt.Errorf("%s: %w", c.Scenario, err)
		}
	}
	return config, nil
}
