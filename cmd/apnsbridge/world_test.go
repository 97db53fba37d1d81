package main

import (
	"io"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// newWorld starts a gateway with what stands around it, and ends it with the test.
func newWorld(t *testing.T, scenario apnssim.Scenario) *servertest.World {
	t.Helper()
	return servertest.New(t, scenario, func(settings *config.Config, log io.Writer) (servertest.Gateway, error) {
		assembled, err := server.Assemble(settings)
		if err != nil {
			return nil, err
		}
		return server.New(assembled, server.Options{Log: zerolog.New(log)})
	})
}
