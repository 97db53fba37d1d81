package packaging_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

const topic = "com.example.mail" // as the sample configuration has it

// host is a directory that stands for a machine with the gateway, in front of an APNs
// simulator.
type host struct {
	t              *testing.T
	root           string
	binary, config string
	push, feedback string
	pki            *devpki.PKI
	sim            *apnssim.Simulator
}

func newHost(t *testing.T, root string) *host {
	t.Helper()
	h := &host{t: t, root: root}
	h.binary, h.config = filepath.Join(h.root, "usr/bin/apnsbridge"), h.etc("apnsbridge.yaml")
	var err error
	if h.pki, err = devpki.Create(topic); err != nil {
		t.Fatal(err)
	}
	certificate, err := h.pki.Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if h.sim, err = apnssim.Start(apnssim.Config{Certificate: certificate}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.sim.Close() })
	return h
}

func (h *host) etc(name string) string { return filepath.Join(h.root, "etc/apnsbridge", name) }

// configure does what the head of the sample says, with the test's ports and APNs.
func (h *host) configure() {
	h.t.Helper()
	made := h.t.TempDir()
	if err := h.pki.Write(filepath.Join(made, "pki")); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(made, "pki"), h.etc("pki")); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(h.etc("pki/AuthKey_DEVELOPER.p8"), h.etc("AuthKey_DEVELOPER.p8")); err != nil {
		h.t.Fatal(err)
	}
	text := read(h.t, h.config)
	h.push, h.feedback = freeAddress(h.t), freeAddress(h.t)
	for _, change := range [][2]string{
		{`":2195"`, `"` + h.push + `"`}, {`":2196"`, `"` + h.feedback + `"`},
		{`"127.0.0.1:9195"`, `"` + freeAddress(h.t) + `"`},
		{"/var/lib/apnsbridge}", filepath.Join(h.root, "var/lib/apnsbridge") + "}"},
		{"AuthKey_ABC123DEFG.p8", "AuthKey_DEVELOPER.p8"},
		{"    credential:\n", "    endpoint: " + h.sim.URL() + "\n    endpoint_ca: pki/ca.pem\n    credential:\n"},
	} {
		if strings.Count(text, change[0]) != 1 {
			h.t.Fatalf("the sample has %q %d times, want once", change[0], strings.Count(text, change[0]))
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	if err := os.WriteFile(h.config, []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run runs the installed binary and returns its output.
func (h *host) run(args ...string) string {
	h.t.Helper()
	out, err := exec.Command(h.binary, args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("apnsbridge %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// awaitVersion waits until a gateway of the given version is ready.
func (h *host) awaitVersion(want string) {
	h.t.Helper()
	var out []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		out, err = exec.Command(h.binary, "status", "--config", h.config).CombinedOutput()
		if err == nil && strings.Contains(string(out), "version "+want) {
			return
		}
	}
	h.t.Fatalf("no gateway of version %s is ready:\n%s", want, out)
}

// dial connects to the gateway as the provider.
func (h *host) dial() *provider.Conn {
	h.t.Helper()
	certificate, err := h.pki.Client.TLS()
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := provider.Dial(h.t.Context(), h.push, &tls.Config{
		RootCAs: h.pki.Pool(), Certificates: []tls.Certificate{certificate}, ServerName: "localhost"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// deliver sends the notification with the given number and waits until APNs has accepted
// that many.
func (h *host) deliver(conn *provider.Conn, number uint32) {
	h.t.Helper()
	n := binproto.Notification{Command: binproto.Enhanced, Token: fmt.Appendf(nil, "device-%025d", number),
		Payload: []byte(`{"aps":{"alert":"Hello"}}`), Identifier: number, HasIdentifier: true}
	if _, err := conn.Write(n.Append(nil)); err != nil {
		h.t.Fatalf("notification %d: %v", number, err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := h.sim.Wait(ctx, func(s apnssim.Stats) bool { return s.Accepted == int(number) }); err != nil {
		h.t.Fatalf("notification %d: %v", number, err)
	}
}
