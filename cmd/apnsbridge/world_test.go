package main

import (
	"io"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// newWorld starts a gateway with its surroundings, and ends it with the test.
func newWorld(t *testing.T, scenario apnssim.Scenario) *servertest.World {
	t.Helper()
	w, _ := newService(t, scenario)
	return w
}

// newService is newWorld; it also returns a function that returns the running gateway.
func newService(t *testing.T, scenario apnssim.Scenario) (*servertest.World, func() *server.Service) {
	t.Helper()
	var service *server.Service
	w := servertest.New(t, scenario, func(settings *config.Config, log io.Writer) (servertest.Gateway, error) {
		assembled, err := server.Assemble(settings)
		if err == nil {
			service, err = server.New(assembled, server.Options{Log: zerolog.New(log)})
		}
		return service, err
	})
	return w, func() *server.Service { return service }
}

// expecting returns a function that runs a command on the gateway of w. It must end with the code want and print says.
func expecting(t *testing.T, w *servertest.World) func(want int, says string, args ...string) string {
	return func(want int, says string, args ...string) string {
		t.Helper()
		var out, failed strings.Builder
		args = append(args, "--config", w.Path("apnsbridge.yaml"))
		code := run(args, streams{in: strings.NewReader(""), out: &out, err: &failed})
		if code != want || !strings.Contains(out.String()+failed.String(), says) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", args, code, want, says, out.String(), failed.String())
		}
		return out.String()
	}
}
