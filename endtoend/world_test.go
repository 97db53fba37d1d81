package endtoend

import (
	"io"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// world is a gateway as its users have it, with everything around it. It runs in the test's process until a process of
// its own takes its place.
type world struct{ *servertest.World }

// newWorld starts everything and ends it with the test.
func newWorld(t *testing.T, scenario apnssim.Scenario) *world {
	t.Helper()
	return &world{servertest.New(t, scenario, serve)}
}

// newFolder makes the folder of a gateway without starting it.
func newFolder(t *testing.T, sim *apnssim.Simulator) *world {
	t.Helper()
	return &world{servertest.Furnish(t, sim, serve)}
}

// serve starts a gateway in the test's process.
func serve(settings *config.Config, log io.Writer) (servertest.Gateway, error) {
	assembled, err := server.Assemble(settings)
	if err != nil {
		return nil, err
	}
	return server.New(assembled, server.Options{Log: zerolog.New(log)})
}
