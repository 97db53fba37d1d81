package server

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

// minted returns a new certificate with the key of c, for a topic.
func minted(t *testing.T, c *tls.Certificate, topic string, serial int64) *tls.Certificate {
	t.Helper()
	key := c.PrivateKey.(crypto.Signer)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	if topic != "" {
		template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1,
			1}, Value: topic}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// as returns the TLS configuration of a provider with that certificate.
func (w *world) as(c *tls.Certificate) *tls.Config {
	config := w.ClientTLS()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	return config
}

// A client with a pinned key may push to the topics configured with it and to no others, and
// is one client however many certificates it makes.
func TestPinnedKeySpeaksForItsTopics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	pinned := servertest.Issue(t, servertest.Strangers(), devpki.ClientOptions{Topic: "com.example.alpha"})
	sum := sha256.Sum256(pinned.Leaf.RawSubjectPublicKeyInfo)
	w.Amend("topic: com.example.demo", "topic: from-certificate")
	w.Amend("      - {ca:", fmt.Sprintf("      - {spki_sha256: \"%x\", topics: [com.example.alpha]}\n      - {ca:", sum))
	w.Reconfigure("apps:", "limits: {connections_per_client: 3}\napps:")
	w.Start()
	if _, err := w.TryDial(w.as(minted(t, pinned, "com.example.beta", 1))); err == nil {
		t.Error("a certificate for another topic is admitted")
	}
	servertest.WaitFor(t, "the log says why", func() bool {
		return strings.Contains(w.Log.String(),
			`\"com.example.beta\" is not one of those`)
	})
	for i, topic := range []string{"com.example.alpha", "", "com.example.alpha"} {
		w.Send(i, w.Dial(w.as(minted(t, pinned, topic, int64(i)))))
	}
	if _, err := w.TryDial(w.as(minted(t, pinned, "com.example.alpha", 9))); err == nil {
		t.Error("another certificate with the same key counts as another client")
	}
	for _, p := range w.Sim.Received(0).Pushes {
		if p.Topic != "com.example.alpha" {
			t.Errorf("APNs got a push to %s", p.Topic)
		}
	}
}

// Networks that admit everybody get a warning, in whatever list and form they are.
func TestEverybody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ settings, want string }{
		{"terminated: [0.0.0.0/0]", "tls.terminated: 0.0.0.0/0 lets everybody speak without TLS"},
		{"proxy_protocol: [\"::ffff:0.0.0.0/96\"]", "proxy_protocol of 127.0.0.1:0: ::ffff:0.0.0.0/96 lets everybody say"},
		{"proxy_protocol: [\"::/0\"]", "proxy_protocol of 127.0.0.1:0: ::/0 lets everybody say"},
		{"proxy_protocol: [10.0.0.0/8, \"2001:db8::/32\"]", ""},
	} {
		settings := settingsOf(t, "")
		for part, list := range map[string]*config.Networks{"terminated: ": &settings.TLS.Terminated,
			"proxy_protocol: ": &settings.Gateway.Listen[0].ProxyProtocol} {
			if _, networks, ok := strings.Cut(tt.settings, part); ok {
				for _, n := range strings.Split(strings.Trim(networks, "[]"), ", ") {
					*list = append(*list, netip.MustParsePrefix(strings.Trim(n, `"`)))
				}
			}
		}
		got := (&Assembly{config: settings}).everybody()
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].text, tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.settings, got, tt.want)
		}
	}
	w := newWorld(t, apnssim.Scenario{})
	for _, network := range []string{"0.0.0.0/0", "::/0", "128.0.0.0/1"} {
		with := fmt.Sprintf("      - {cidr: \"%s\"}\n      - {ca:", network)
		w.Amend("      - {ca:", with)
		w.Log.Reset()
		w.service.hangup()
		want := "apps.demo.clients[0]: " + network + " admits everybody who can connect"
		_, stdout, _ := w.check(CheckOptions{})
		if !strings.Contains(stdout, want) || !strings.Contains(w.Log.String(), want) {
			t.Errorf("%s: check says %s, the reload %s", network, stdout, w.Log.String())
		}
		w.Amend(with, "      - {ca:")
	}
}

// Clients that support ECDSA are shown the ECDSA certificate, others the RSA one, whatever name
// they ask for; both are renewed from their files.
func TestServerCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	pair, err := servertest.PKI().IssueServer(devpki.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	w.Write("ec.pem", append(pair.CertPEM, pair.KeyPEM...))
	w.Reconfigure("certificate: server.pem, key: server-key.pem",
		"certificates: [{certificate: server.pem, key: server-key.pem}, {certificate: ec.pem, key: ec.pem}]")
	w.Start()
	shown := func(change func(*tls.Config)) x509.PublicKeyAlgorithm {
		config := w.ClientTLS()
		config.InsecureSkipVerify = true
		change(config)
		c, err := tls.Dial("tcp", w.Push, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm
	}
	for _, tt := range []struct {
		name   string
		change func(*tls.Config)
		want   x509.PublicKeyAlgorithm
	}{
		{"TLS 1.3", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS13 }, x509.ECDSA},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, x509.ECDSA},
		{"another name", func(c *tls.Config) { c.ServerName = "push.example" }, x509.ECDSA},
		{"RSA alone", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, x509.RSA},
	} {
		if got := shown(tt.change); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	next, err := servertest.PKI().IssueServer(devpki.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	w.Write("ec.pem", append(next.CertPEM, next.KeyPEM...))
	w.service.renewCertificates()
	if leaf := w.service.current.Load().further[0].Leaf; !leaf.Equal(next.Leaf) {
		t.Error("the second certificate was not renewed")
	}
}

// A client whose pin has been removed loses its connections after the time for draining, even
// if it keeps sending a little.
func TestRevokedTrickler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	pin, pinned := w.Pinned()
	w.Amend("      - {ca:", "      - "+pin+"\n      - {ca:")
	w.Reconfigure("apps:", "limits: {drain: 200ms, connections: 5}\napps:")
	w.Start()
	conns := make([]interface{ Write([]byte) (int, error) }, 5)
	for i := range conns {
		conns[i] = w.Dial(pinned)
	}
	w.Amend("      - "+pin+"\n", "")
	w.reload()
	frame := servertest.Enhanced(servertest.Token("25", 1), 1)
	for i := 0; w.service.push.Stats().Connections > 0; i++ {
		if i > 2000 {
			t.Fatal("the revoked client keeps its connections")
		}
		for _, c := range conns {
			c.Write(frame[i%len(frame) : i%len(frame)+1])
		}
		time.Sleep(10 * time.Millisecond) // a trickle
	}
	w.Send(0, w.Dial(w.ClientTLS()))
}
