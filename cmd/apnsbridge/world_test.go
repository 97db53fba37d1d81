package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway/devpki"
)

// pki is made once: RSA keys are slow to make.
var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(demoTopic)
	if err != nil {
		panic(err)
	}
	return p
})

// world is a gateway as serve runs it, from a configuration file, with real
// certificates and a store on disk, and an APNs simulator behind it.
type world struct {
	t        *testing.T
	dir      string
	sim      *apnssim.Simulator
	service  *service
	log      lockedBuffer
	now      func() time.Time // the gateway's clock; nil: the real one
	push     string
	feedback string
	admin    string
	client   *tls.Certificate // of providers; nil: that of the PKI
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	start int // of what String gives
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Reset lets String begin with what is written from now on.
func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.start = b.buf.Len()
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()[b.start:]
}

// whole is the log from its beginning.
func (b *lockedBuffer) whole() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newWorld starts everything and ends it with the test.
func newWorld(t *testing.T, scenario apnssim.Scenario) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "etc")}
	if err := pki().Write(w.dir); err != nil {
		t.Fatal(err)
	}
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if w.sim, err = apnssim.Start(apnssim.Config{Certificate: certificate, Scenario: scenario}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.sim.Close() })
	if err := os.WriteFile(filepath.Join(w.dir, "apnsbridge.yaml"), fmt.Appendf(nil, demoConfig, demoTopic, w.sim.URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() { w.search(w.log.whole()) })
	t.Cleanup(w.stop)
	return w
}

// start starts the gateway, again after stop.
func (w *world) start() {
	w.t.Helper()
	settings, err := config.Load(filepath.Join(w.dir, "apnsbridge.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	assembled, err := assemble(settings)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.now != nil {
		assembled.now = w.now
	}
	if w.service, err = New(assembled, Options{Log: zerolog.New(&w.log)}); err != nil {
		w.t.Fatal(err)
	}
	push, feedback, admin := w.service.addresses()
	w.push, w.feedback, w.admin = push.String(), feedback.String(), admin.String()
}

// stop drains the gateway.
func (w *world) stop() {
	if w.service == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.service.stop(ctx); err != nil {
		w.t.Errorf("stop: %v\n%s", err, w.log.String())
	}
	w.service = nil
}

// fixPorts has the gateway listen on the same ports whenever it starts from now
// on, as an operator's does. They are its own as long as the test runs.
func (w *world) fixPorts() {
	w.t.Helper()
	for _, port := range []*string{&w.push, &w.feedback, &w.admin} {
		*port = w.hold()
		w.amend("127.0.0.1:0", *port)
	}
}

// hold finds a port that the system gives to nobody else, also while no gateway
// listens on it.
func (w *world) hold() string {
	w.t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	loopback := syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(
		syscall.Bind(fd, &loopback),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), // from now on, for the gateway
	); err != nil {
		w.t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		w.t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback.Addr), uint16(bound.(*syscall.SockaddrInet4).Port)).String()
}

// reconfigure stops the gateway and replaces something in its configuration.
func (w *world) reconfigure(old, with string) {
	w.t.Helper()
	w.stop()
	w.amend(old, with)
}

// amend replaces something in the configuration of a gateway that may be
// running.
func (w *world) amend(old, with string) {
	w.t.Helper()
	text, err := os.ReadFile(w.path("apnsbridge.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		w.t.Fatalf("the configuration has no %q", old)
	}
	w.write("apnsbridge.yaml", bytes.Replace(text, []byte(old), []byte(with), 1))
}

// await fails the test unless the simulator comes to the given state.
func (w *world) await(what string, done func(apnssim.Stats) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := w.sim.Wait(ctx, done); err != nil {
		w.t.Fatalf("%s: %v\n%s", what, err, w.log.String())
	}
}

func (w *world) clientTLS() *tls.Config {
	w.t.Helper()
	pair, err := pki().Client.TLS()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.client != nil {
		pair = *w.client
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pki().Pool(), MinVersion: tls.VersionTLS12}
}

// path is that of a file beside the configuration.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write puts a file beside the configuration and returns its path.
func (w *world) write(name string, text []byte) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// apnsbridge runs a command of ours in this process.
func (w *world) apnsbridge(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, streams{in: strings.NewReader(stdin), out: &out, err: &err})
	return code, out.String(), err.String()
}

// credentials are the flags of a client command.
func (w *world) credentials(args ...string) []string {
	return append(args, "--cert", w.path("client.pem"), "--key", w.path("client-key.pem"), "--ca", w.path("ca.pem"))
}

// unhex is a device token's bytes.
func unhex(token string) []byte {
	b, err := hex.DecodeString(token)
	if err != nil {
		panic(err)
	}
	return b
}

// token is a device token: what the prefix says, then a number.
func token(prefix string, number int) string {
	t := fmt.Sprintf("%s%0*x", prefix, 64-len(prefix), number)
	unhex(t)
	return t
}

// waitFor fails the test unless done comes true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at a condition
	}
}
