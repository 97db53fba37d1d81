package servertest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/story"
)

// World is a gateway under test with its surroundings: a folder with real certificates, a
// configuration and a store, an APNs simulator, and providers.
type World struct {
	T        *testing.T
	Dir      string
	Sim      *apnssim.Simulator
	Log      Buffer // the gateway's
	Push     string
	Feedback string
	Admin    string
	Client   *tls.Certificate // of providers; nil: that of PKI

	launch  Launch
	running Gateway // nil: no gateway runs
}

// Gateway is a gateway that runs in the test's process.
type Gateway interface {
	Addresses() (push, feedback, admin net.Addr)
	Stop(ctx context.Context) error
}

// Launch starts a gateway in the test's process, as serve does.
type Launch func(settings *config.Config, log io.Writer) (Gateway, error)

// New starts everything and ends it with the test.
func New(t *testing.T, scenario apnssim.Scenario, launch Launch) *World {
	t.Helper()
	certificate, err := PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	w := Furnish(t, sim, launch)
	w.Start()
	t.Cleanup(func() { w.Search(w.Log.Whole()) })
	t.Cleanup(w.Stop)
	return w
}

// Furnish creates the folder of a gateway but does not start it.
func Furnish(t *testing.T, sim *apnssim.Simulator, launch Launch) *World {
	t.Helper()
	w := &World{T: t, Dir: filepath.Join(t.TempDir(), "etc"), Sim: sim, launch: launch}
	if err := PKI().Write(w.Dir); err != nil {
		t.Fatal(err)
	}
	w.Write("apnsbridge.yaml", fmt.Appendf(nil, story.Settings, story.Topic, sim.URL()))
	return w
}

// Start starts the gateway. It may be called again after Stop.
func (w *World) Start() {
	w.T.Helper()
	settings, err := config.Load(w.Path("apnsbridge.yaml"))
	if err != nil {
		w.T.Fatal(err)
	}
	running, err := w.launch(settings, &w.Log)
	if err != nil {
		w.T.Fatal(err)
	}
	w.running = running
	push, feedback, admin := running.Addresses()
	w.Push, w.Feedback, w.Admin = push.String(), feedback.String(), admin.String()
}

// Stop drains the gateway, if one runs.
func (w *World) Stop() {
	if err := w.StopWithin(Patience); err != nil {
		w.T.Errorf("stop: %v\n%s", err, w.Log.String())
	}
}

// StopWithin is Stop with a timeout.
func (w *World) StopWithin(d time.Duration) error {
	if w.running == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	err := w.running.Stop(ctx)
	w.running = nil
	return err
}

// Gone must be called when the gateway has ended without Stop.
func (w *World) Gone() { w.running = nil }

// FixPorts makes the gateway listen on the same ports whenever it starts from now on, as an
// operator's does. They are reserved for it until the test ends.
func (w *World) FixPorts() {
	w.T.Helper()
	for _, port := range []*string{&w.Push, &w.Feedback, &w.Admin} {
		*port = w.Hold()
		w.Amend("127.0.0.1:0", *port)
	}
}

// Hold reserves a port, which the system then gives to no other program, even while no
// gateway listens on it.
func (w *World) Hold() string {
	w.T.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	loopback := syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(
		syscall.Bind(fd, &loopback),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), // after Bind: for the gateway's
	); err != nil {
		w.T.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		w.T.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback.Addr), uint16(bound.(*syscall.SockaddrInet4).Port)).String()
}

// Reconfigure stops the gateway and replaces something in its configuration.
func (w *World) Reconfigure(old, with string) {
	w.T.Helper()
	w.Stop()
	w.Amend(old, with)
}

// Amend replaces something in the configuration of a gateway that may be running.
func (w *World) Amend(old, with string) {
	w.T.Helper()
	text, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		w.T.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		w.T.Fatalf("the configuration has no %q", old)
	}
	w.Write("apnsbridge.yaml", bytes.Replace(text, []byte(old), []byte(with), 1))
}

// Await waits until the simulator is in a state, and fails the test if that takes too long.
func (w *World) Await(what string, done func(apnssim.Stats) bool) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := w.Sim.Wait(ctx, done); err != nil {
		w.T.Fatalf("%s: %v\n%s", what, err, w.Log.String())
	}
}

// ClientTLS returns what an admitted provider dials with: its certificate and the gateway's CA.
func (w *World) ClientTLS() *tls.Config {
	w.T.Helper()
	pair, err := PKI().Client.TLS()
	if err != nil {
		w.T.Fatal(err)
	}
	if w.Client != nil {
		pair = *w.Client
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: PKI().Pool(), MinVersion: tls.VersionTLS12}
}

// Path returns the path of a file beside the configuration.
func (w *World) Path(name string) string { return filepath.Join(w.Dir, name) }

// Write puts a file beside the configuration and returns its path.
func (w *World) Write(name string, text []byte) string {
	w.T.Helper()
	if err := os.WriteFile(w.Path(name), text, 0o600); err != nil {
		w.T.Fatal(err)
	}
	return w.Path(name)
}

// Credentials appends the credential flags of a client command to args.
func (w *World) Credentials(args ...string) []string {
	return append(args, "--cert", w.Path("client.pem"), "--key", w.Path("client-key.pem"), "--ca", w.Path("ca.pem"))
}
