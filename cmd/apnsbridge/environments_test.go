package main

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

// A provider that asks for the sandbox by its name is not sent to production
// without a word.
func TestSandboxAskedFor(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	config := w.clientTLS()
	config.ServerName = "gateway.sandbox.push.apple.com"
	for range 3 {
		w.dial(config).Close()
	}
	w.dial(w.clientTLS()).Close()
	if got := strings.Count(w.log.String(), "a provider asks for the sandbox"); got != 1 {
		t.Errorf("got %d lines:\n%s", got, w.log.String())
	}
	if got := fmt.Sprint(w.service.condition(false).problems); !strings.Contains(got, "demo: a provider asks for the sandbox") {
		t.Errorf("/readyz says %s", got)
	}
	w.amend("topic:", "environment: by-listener\n    topic:")
	w.reload()
	if got := fmt.Sprint(w.service.condition(false).problems); strings.Contains(got, "sandbox") {
		t.Errorf("/readyz still says %s", got)
	}
}

// Where a by-listener app's notifications go: as the port says, else the name that is
// asked for, else what the provider's certificate is for; to an endpoint of its own for
// each environment.
func TestByListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sandbox, err := apnssim.Start(apnssim.Config{Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	defer sandbox.Close()
	w.stop()
	w.amend("endpoint: "+w.sim.URL(), fmt.Sprintf("environment: by-listener\n    endpoint: {production: %s, sandbox: %s}", w.sim.URL(), sandbox.URL()))
	w.amend("{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem, any: true}")
	const apple, appleSandbox, own = "gateway.push.apple.com", "gateway.sandbox.push.apple.com", "localhost"
	both, only := issue(t, pki(), devpki.ClientOptions{Topic: "com.example.demo"}), issue(t, pki(), devpki.ClientOptions{Topic: "com.example.demo", Sandbox: true})
	sent := 0
	for _, listener := range []string{"", "production", "sandbox"} {
		if listener != "" {
			before := map[string]string{"production": `"127.0.0.1:0"`, "sandbox": `{address: "127.0.0.1:0", environment: production}`}[listener]
			w.amend("gateway: {listen: "+before, `gateway: {listen: {address: "127.0.0.1:0", environment: `+listener+"}")
		}
		w.start()
		for _, name := range []string{"", apple, appleSandbox, own} {
			for certificate, shown := range map[string]*tls.Certificate{"for both": both, "for the sandbox only": only} {
				want := listener
				switch {
				case want != "":
				case name == appleSandbox, name != apple && shown == only:
					want = "sandbox"
				default:
					want = "production"
				}
				config := w.clientTLS()
				config.Certificates = []tls.Certificate{*shown}
				config.ServerName, config.InsecureSkipVerify = name, name == ""
				conn := w.dial(config)
				production, other := w.sim.Stats().Accepted, sandbox.Stats().Accepted
				sent++
				if _, err := conn.Write(enhanced(token("0a", sent), sent)); err != nil {
					t.Fatal(err)
				}
				conn.Close()
				waitFor(t, "the notification", func() bool { return w.sim.Stats().Accepted+sandbox.Stats().Accepted == sent })
				got := "production"
				if sandbox.Stats().Accepted > other {
					got = "sandbox"
				}
				if got != want || w.sim.Stats().Accepted-production+sandbox.Stats().Accepted-other != 1 {
					t.Errorf("listener %q, asked for %q, a certificate %s: it went to %s, want %s", listener, name, certificate, got, want)
				}
			}
		}
		w.stop()
	}
}
