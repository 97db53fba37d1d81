package server

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

// If a provider asks for the sandbox by name but its app goes to production, the operator is
// told.
func TestSandboxAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	config := w.ClientTLS()
	config.ServerName = "gateway.sandbox.push.apple.com"
	for range 3 {
		w.Dial(config).Close()
	}
	w.Dial(w.ClientTLS()).Close()
	if got := strings.Count(w.Log.String(), "a provider asks for the sandbox"); got != 1 {
		t.Errorf("got %d lines, want 1:\n%s", got, w.Log.String())
	}
	if got := fmt.Sprint(w.service.condition(false).problems); !strings.Contains(got,
		"demo: a provider asks for the sandbox") {
		t.Errorf("/readyz says %s", got)
	}
	w.Amend("topic:", "environment: by-listener\n    topic:")
	w.reload()
	if got := fmt.Sprint(w.service.condition(false).problems); strings.Contains(got, "sandbox") {
		t.Errorf("/readyz still says %s", got)
	}
}

// The environment of a by-listener app's notifications is that of the port, else that of the
// name that is asked for, else the one that the provider's certificate is for. Each environment
// has its own endpoint.
func TestByListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	certificate, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sandbox, err := apnssim.Start(apnssim.Config{Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	defer sandbox.Close()
	w.Stop()
	w.Amend("endpoint: "+w.Sim.URL(), fmt.Sprintf("environment: by-listener\n    endpoint: {production: %s, sandbox: %s}",
		w.Sim.URL(), sandbox.URL()))
	w.Amend("{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem, any: true}")
	const apple, appleSandbox, own = "gateway.push.apple.com", "gateway.sandbox.push.apple.com", "localhost"
	both, only := servertest.Issue(t, servertest.PKI(), devpki.ClientOptions{Topic: "com.example.demo"}),
		servertest.Issue(t, servertest.PKI(), devpki.ClientOptions{Topic: "com.example.demo", Sandbox: true})
	sent := 0
	for _, listener := range []string{"", "production", "sandbox"} {
		if listener != "" {
			before := map[string]string{"production": `"127.0.0.1:0"`,
				"sandbox": `{address: "127.0.0.1:0", environment: production}`}[listener]
			w.Amend("gateway: {listen: "+before, `gateway: {listen: {address: "127.0.0.1:0", environment: `+listener+"}")
		}
		w.Start()
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
				config := w.ClientTLS()
				config.Certificates = []tls.Certificate{*shown}
				config.ServerName, config.InsecureSkipVerify = name, name == ""
				conn := w.Dial(config)
				production, other := w.Sim.Stats().Accepted, sandbox.Stats().Accepted
				sent++
				if _, err := conn.Write(servertest.Enhanced(servertest.Token("0a", sent), sent)); err != nil {
					t.Fatal(err)
				}
				conn.Close()
				servertest.WaitFor(t, "the notification",
					func() bool { return w.Sim.Stats().Accepted+sandbox.Stats().Accepted == sent })
				got := "production"
				if sandbox.Stats().Accepted > other {
					got = "sandbox"
				}
				if got != want || w.Sim.Stats().Accepted-production+sandbox.Stats().Accepted-other != 1 {
					t.Errorf("listener %q, name %q, certificate %s: sent to %s, want %s", listener, name, certificate, got,
						want)
				}
			}
		}
		w.Stop()
	}
}
