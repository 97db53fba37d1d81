package server

import (
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// world is a gateway as serve runs it, with its surroundings.
type world struct {
	*servertest.World
	service *Service
	now     func() time.Time // the gateway's clock; nil: the real one
}

// newWorld starts everything and ends it with the test.
func newWorld(t *testing.T, scenario apnssim.Scenario) *world {
	t.Helper()
	w := &world{}
	w.World = servertest.New(t, scenario, w.serve)
	return w
}

// serve starts the service.
func (w *world) serve(settings *config.Config, log io.Writer) (servertest.Gateway, error) {
	assembled, err := Assemble(settings)
	if err != nil {
		return nil, err
	}
	if w.now != nil {
		assembled.now = w.now
	}
	w.service, err = New(assembled, Options{Log: zerolog.New(log)})
	return w.service, err
}
