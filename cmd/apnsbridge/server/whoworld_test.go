package server

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

// who is a client that connects.
type who struct {
	name        string
	certificate *tls.Certificate // nil: none
	from        string           // address; "" for 127.0.0.1
	app, topic  string           // for which it is admitted, "" if it is not
	remedy      string           // in the log if it is not admitted
}

// renewed returns another, self-signed certificate with the key of c.
func renewed(t *testing.T, c *tls.Certificate) *tls.Certificate {
	t.Helper()
	key := c.PrivateKey.(crypto.Signer)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "renewed"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ancient returns a certificate that our CA has signed with an old algorithm, as in real
// push certificates.
func ancient(t *testing.T, topic string) *tls.Certificate {
	t.Helper()
	c := servertest.Issue(t, servertest.PKI(), devpki.ClientOptions{Topic: topic})
	ca, err := servertest.PKI().CA.TLS()
	if err != nil {
		t.Fatal(err)
	}
	template := *c.Leaf
	template.SignatureAlgorithm = x509.SHA1WithRSA
	der, err := x509.CreateCertificate(rand.Reader, &template, servertest.PKI().CA.Leaf, c.Leaf.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c.Certificate = [][]byte{der}
	return c
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// newWhoWorld returns a gateway with an app for each way to be admitted, and all the
// clients that try.
func newWhoWorld(t *testing.T) (*world, []who) {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	ours, elsewhere := servertest.PKI(), servertest.Strangers()
	pinned := servertest.Issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything"})
	key := servertest.Issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything"})
	expired := servertest.Issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything",
		NotBefore: past.Add(-time.Hour), NotAfter: past})
	sha1 := ancient(t, "com.example.sha1")
	mdm := servertest.Issue(t, elsewhere, devpki.ClientOptions{Topic: "com.apple.mgmt.example"})
	all := []who{
		{"a pinned certificate", pinned, "", "pinned", "com.example.pinned", ""},
		{"a certificate with a pinned key", key, "", "key", "com.example.key", ""},
		{"the same key in another certificate", renewed(t, key), "", "key", "com.example.key", ""},
		{"an expired certificate that is pinned", expired, "", "expired", "com.example.expired", ""},
		{"a certificate signed with SHA-1 that is pinned", sha1, "", "sha1", "com.example.sha1", ""},
		{"a UID of the CA", servertest.Issue(t, ours, devpki.ClientOptions{Topic: "com.example.uid"}), "", "uid",
			"com.example.uid", ""},
		{"a topic in Apple's extension", servertest.Issue(t, ours,
			devpki.ClientOptions{Topic: "com.example.holder",
				Topics: []string{"com.example.oid"}}), "", "oid", "com.example.oid", ""},
		{"a UID of one app and a topic of another", servertest.Issue(t, ours,
			devpki.ClientOptions{Topic: "com.example.uid",
				Topics: []string{"com.example.oid"}}), "", "uid", "com.example.uid", ""},
		{"the topic from the certificate", mdm, "", "mdm", "com.apple.mgmt.example", ""},
		{"no certificate, from a listed network", nil, "127.0.0.2", "net", "com.example.net", ""},
		{"a stranger's certificate, from a listed network",
			servertest.Issue(t, elsewhere,
				devpki.ClientOptions{Topic: "com.example.pinned"}), "127.0.0.2", "net", "com.example.net", ""},
		{"a pin beats a network", pinned, "127.0.0.2", "pinned", "com.example.pinned", ""},

		{name: "no certificate", remedy: "add {cidr: 127.0.0.1/32}"},
		{name: "no certificate, from the network's neighbour", from: "127.0.0.3", remedy: "add {cidr: 127.0.0.3/32}"},
		{name: "an app's topic from another CA", certificate: servertest.Issue(t, elsewhere,
			devpki.ClientOptions{Topic: "com.example.uid"}), remedy: "add {sha256: "},
		{name: "the pinned one's topic from our CA", certificate: servertest.Issue(t, ours,
			devpki.ClientOptions{Topic: "com.example.pinned"}), remedy: "add {sha256: "},
		{name: "a UID of no app", certificate: servertest.Issue(t, ours, devpki.ClientOptions{Topic: "com.example.gone"}),
			remedy: "add {sha256: "},
		{name: "no UID at all", certificate: servertest.Issue(t, ours, devpki.ClientOptions{}), remedy: "add {sha256: "},
		{name: "a UID of the CA, signed with SHA-1", certificate: ancient(t, "com.example.uid"), remedy: "add {sha256: "},
		{name: "a UID of the CA, expired", certificate: servertest.Issue(t, ours,
			devpki.ClientOptions{Topic: "com.example.uid", NotBefore: past.Add(-time.Hour),
				NotAfter: past}), remedy: "add {sha256: "},
	}
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	common := fmt.Sprintf(servertest.App, w.Sim.URL())
	w.Write("apnsbridge.yaml", fmt.Appendf(nil, whoConfig, common, fingerprint(pinned.Leaf.Raw), fingerprint(key.Leaf.RawSubjectPublicKeyInfo), fingerprint(expired.Leaf.Raw), fingerprint(mdm.Leaf.Raw), fingerprint(sha1.Leaf.Raw)))
	w.Start()
	return w, all
}
