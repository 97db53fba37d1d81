package upstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/h2conn"
	"apnsbridge/gateway/devpki"
)

func issue(t *testing.T, o devpki.ClientOptions) (devpki.Pair, any) {
	t.Helper()
	pair, err := pki().Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return pair, cert.PrivateKey
}

// certificateCredential reads a file with one certificate. Where there are several, it chooses none.
func certificateCredential(file []byte, password string) (*Credential, error) {
	return NewCertificateCredential(file, password, time.Now(), func(*x509.Certificate) bool { return false })
}

func pemBlock(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// encryptedPEM encrypts a key as openssl rsa -des3 did for years.
func encryptedPEM(t *testing.T, key *rsa.PrivateKey, password string) []byte {
	t.Helper()
	//lint:ignore SA1019 old files are encrypted this way
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), []byte(password),
		x509.PEMCipher3DES)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// With a credential from each kind of file, APNs accepts a push.
func TestCertificateCredentials(t *testing.T) {
	rsaPair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	rsaKey := key.(*rsa.PrivateKey)
	ecPair, key := issue(t, devpki.ClientOptions{Topic: topic})
	ecKey := key.(*ecdsa.PrivateKey)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	pkcs8PEM := pemBlock("PRIVATE KEY", pkcs8, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	sec1PEM := pemBlock("EC PRIVATE KEY", sec1, err)
	p12 := func(e *pkcs12.Encoder, password string, chain ...*x509.Certificate) []byte {
		file, err := e.Encode(rsaKey, rsaPair.Leaf, chain, password)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	ca := pki().CA.Leaf
	tests := []struct {
		name, password string
		file           []byte
	}{
		{"p12 with SHA-256 and a chain", "secret", p12(pkcs12.Modern2023, "secret", ca)},
		{"p12 with SHA-1 and 3DES", "secret", p12(pkcs12.LegacyDES, "secret")},
		{"p12 with RC2 and a chain", "secret", p12(pkcs12.LegacyRC2, "secret", ca)},
		{"p12 without a password", "", p12(pkcs12.Modern2023, "")},
		{"PEM with PKCS #1", "", append(bytes.Clone(rsaPair.CertPEM), rsaPair.KeyPEM...)},
		{"PEM with PKCS #8, key first, chain", "", bytes.Join([][]byte{pkcs8PEM, rsaPair.CertPEM, pki().CA.CertPEM}, nil)},
		{"PEM with SEC 1", "", append(bytes.Clone(ecPair.CertPEM), sec1PEM...)},
		{"PEM with text around", "", bytes.Join([][]byte{[]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), sec1PEM, []byte("Bag Attributes\n  friendlyName: x\n"), ecPair.CertPEM}, nil)},
		{"PEM with an encrypted key", "secret", append(bytes.Clone(rsaPair.CertPEM), encryptedPEM(t, rsaKey, "secret")...)},
	}
	sim := startSim(t, apnssim.Scenario{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := certificateCredential(tt.file, tt.password)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Describe(); got.Kind != "certificate" || got.Topic != topic || !got.Expires.After(time.Now()) {
				t.Errorf("described as %+v", got)
			}
			g := openRig(t, Config{Endpoint: endpoint(sim), Credential: c})
			g.push(goodDevice, 1, hello)
			if got := g.counted(); got[Accepted] != 1 {
				t.Errorf("verdicts %v, want it to be accepted", got)
			}
		})
	}
}

func TestCredentialFaults(t *testing.T) {
	pair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	other, _ := issue(t, devpki.ClientOptions{Topic: topic})
	p12, err := pkcs12.Modern2023.Encode(key, pair.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	p384PEM := pemBlock("PRIVATE KEY", der, err)
	encrypted := append(bytes.Clone(pair.CertPEM), encryptedPEM(t, key.(*rsa.PrivateKey), "secret")...)
	certificate := func(file []byte, password string) func() error {
		return func() error { _, err := certificateCredential(file, password); return err }
	}
	token := func(file []byte, keyID, teamID string) func() error {
		return func() error { _, err := NewTokenCredential(file, keyID, teamID); return err }
	}
	tests := []struct {
		name string
		read func() error
		want string
	}{
		{"wrong password", certificate(p12, "guess"), "the password does not open the .p12 file"},
		{"cut p12", certificate(p12[:len(p12)/2], "secret"), "it is cut or of another kind"},
		{"nothing", certificate(nil, ""), "the file is empty"},
		{"certificate alone", certificate(pair.CertPEM, ""), "without its private key"},
		{"key alone", certificate(pair.KeyPEM, ""), "without its certificate"},
		{"another's key", certificate(append(bytes.Clone(pair.CertPEM), other.KeyPEM...), ""), "do not belong together"},
		{"wrong password of a PEM key", certificate(encrypted, "guess"), "the password does not open the private key"},
		{"PKCS #8 encrypted", certificate([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"), "x"), "the password does not open the private key"},
		{"no key_id", token(pki().TokenKey, "", "TEAM"), "key_id and team_id"},
		{"no PEM", token([]byte("hello"), "KEY", "TEAM"), "neither PEM"},
		{"an RSA key", token(pair.KeyPEM, "KEY", "TEAM"), "not a P-256 key"},
		{"another curve", token(p384PEM, "KEY", "TEAM"), "not a P-256 key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.read()
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one sentence with %q", err, tt.want)
			}
		})
	}
}

// With an unusable credential it is as if APNs could not be reached: no connection is opened.
func TestUnusableCredential(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	reason := errors.New("it expired")
	c := Unusable(reason)
	if c.Check(time.Now()) != nil || c.Unusable() != reason || c.Describe().Kind != "none" ||
		!c.Equal(Unusable(reason)) || c.Equal(Unusable(errors.New("x"))) {
		t.Errorf("got %+v", c)
	}
	to := newTarget(endpoint(sim), c)
	if _, _, err := to.open(within(t), h2conn.Config{}); err != reason {
		t.Errorf("got %v, want the reason", err)
	}
	if got := sim.Stats(); got.Connections != 0 {
		t.Errorf("%d connections", got.Connections)
	}
}

// The topic of a certificate is its UID, or else what stands behind the colon in its common name.
func TestTopicOf(t *testing.T) {
	for want, subject := range map[string]pkix.Name{
		"com.example.mail": {CommonName: "Apple Push Services: com.example.chat", Names: []pkix.AttributeTypeAndValue{
			{Type: oidUserID, Value: "com.example.mail"}}},
		"com.example.chat": {CommonName: "Apple Push Services: com.example.chat"},
		"chat":             {CommonName: "chat"},
	} {
		if got := topicOf(subject); got != want {
			t.Errorf("%v is for %q, want %q", subject, got, want)
		}
	}
}

// A certificate has a time of validity, a token's key has none, and each has a digest of its own.
func TestCredentialIsKnown(t *testing.T) {
	token := tokenCredential(t)
	pair, err := certificateCredential(append(pki().Client.CertPEM, pki().Client.KeyPEM...), "")
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Leaf()
	if leaf == nil || token.Leaf() != nil || token.Check(leaf.NotBefore.Add(-time.Second)) != nil {
		t.Errorf("the certificates are %v and %v", leaf, token.Leaf())
	}
	if err := pair.Check(leaf.NotBefore.Add(-time.Second)); err == nil ||
		!strings.Contains(err.Error(), "not valid before") {
		t.Errorf("before it is valid: got error %v", err)
	}
	if token.Digest() == pair.Digest() || token.Digest() != tokenCredential(t).Digest() {
		t.Error("the digests do not tell them apart")
	}
}
