// Package devpki makes throw-away certificates of the kinds that the binary
// provider interface needs, for `apnsbridge certs`, the demo, tests and
// benchmarks. Nothing it makes is to be trusted with anything.
package devpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"time"
)

// PKI is a certification authority and what it has issued.
type PKI struct {
	CA     Pair
	Server Pair // for Apple's four host names, localhost, 127.0.0.1 and ::1
	Client Pair // what Apple would issue to a provider of the topic

	TokenKey []byte // a key for provider tokens: PEM of PKCS#8, P-256, as in Apple's .p8 files

	caKey crypto.Signer
}

// Pair is a certificate and its private key.
type Pair struct {
	CertPEM []byte
	KeyPEM  []byte // PKCS#1 for RSA, which all old libraries read, PKCS#8 otherwise
	Leaf    *x509.Certificate
}

// TLS is the pair as crypto/tls wants it.
func (p Pair) TLS() (tls.Certificate, error) {
	return tls.X509KeyPair(p.CertPEM, p.KeyPEM)
}

// The names under which providers knew Apple's gateways. A redirected provider
// verifies them.
var hostNames = []string{
	"gateway.push.apple.com", "feedback.push.apple.com",
	"gateway.sandbox.push.apple.com", "feedback.sandbox.push.apple.com",
	"localhost",
}

const validity = 2 * 365 * 24 * time.Hour

// Create makes a PKI whose client certificate is for topic. CA, server and
// client have RSA keys, because Java 6 and node-forge know no others; that takes
// about half a second.
func Create(topic string) (*PKI, error) { return CreateOf(topic, RSA) }

// CreateOf is Create with keys of another kind, for tests in which no old library takes part.
func CreateOf(topic string, k Key) (*PKI, error) {
	if topic == "" {
		return nil, errors.New("a client certificate needs a topic, such as com.example.demo")
	}
	p := new(PKI)
	if err := p.createCA(k); err != nil {
		return nil, fmt.Errorf("development CA: %w", err)
	}
	var err error
	if p.Server, err = p.IssueServer(k); err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	if p.Client, err = p.Issue(ClientOptions{Topic: topic, Key: k}); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	if p.TokenKey, err = keyPEM(key); err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return p, nil
}

// Pool holds the CA alone.
func (p *PKI) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.CA.Leaf)
	return pool
}

func (p *PKI) createCA(k Key) error {
	key, err := k.generate()
	if err != nil {
		return err
	}
	p.caKey = key
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "apnsbridge development CA", Organization: []string{"apnsbridge"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	p.CA, err = p.sign(template, template, key)
	return err
}

// IssueServer makes another server certificate, with the same names.
func (p *PKI) IssueServer(k Key) (Pair, error) {
	key, err := k.generate()
	if err != nil {
		return Pair{}, err
	}
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: hostNames[0], Organization: []string{"apnsbridge"}},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    p.CA.Leaf.NotAfter,
		DNSNames:    hostNames,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		// Providers of the old kind may agree on RSA key exchange, which enciphers.
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, p.CA.Leaf, key)
}
