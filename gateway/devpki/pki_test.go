package devpki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Three RSA keys are worth sharing.
var shared = sync.OnceValues(func() (*PKI, error) { return Create("com.example.demo") })

func create(t *testing.T) *PKI {
	t.Helper()
	p, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func issue(t *testing.T, o ClientOptions) Pair {
	t.Helper()
	pair, err := create(t).Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestServer(t *testing.T) {
	p := create(t)
	for _, host := range []string{
		"gateway.push.apple.com", "feedback.push.apple.com", "gateway.sandbox.push.apple.com",
		"feedback.sandbox.push.apple.com", "localhost", "127.0.0.1", "::1",
	} {
		if _, err := p.Server.Leaf.Verify(x509.VerifyOptions{Roots: p.Pool(), DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if key, ok := p.Server.Leaf.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("got key %T, want RSA of 2048 bits", p.Server.Leaf.PublicKey)
	}
}

// extension is the value of one of Apple's extensions in hex, "" if it is not there.
func extension(cert *x509.Certificate, id asn1.ObjectIdentifier) string {
	for _, e := range cert.Extensions {
		if e.Id.Equal(id) {
			return hex.EncodeToString(e.Value)
		}
	}
	return ""
}

func uid(cert *x509.Certificate) string {
	for _, name := range cert.Subject.Names {
		if name.Type.Equal(oidUID) {
			return name.Value.(string)
		}
	}
	return ""
}

func TestIssue(t *testing.T) {
	now := time.Now()
	const null = "0500"
	const a = "0c0161" + "3005" + "0c03617070" // the topic "a", for "app"
	const aVoip = "0c06612e766f6970" + "3006" + "0c04766f6970"
	const aComplication = "0c0e612e636f6d706c69636174696f6e" + "300e" + "0c0c636f6d706c69636174696f6e"
	for _, tt := range []struct {
		name    string
		options ClientOptions
		cn, uid string
		mark    string // Apple's extensions for sandbox and production
		topics  string // Apple's extension that lists topics
		expired bool
	}{
		{"as Apple issues", ClientOptions{Topic: "a"}, "Apple Push Services: a", "a", null, "303a" + a + aVoip +
			aComplication, false},
		{"only its topic", ClientOptions{Topic: "a", Topics: []string{}}, "Apple Push Services: a", "a", null, "300a" + a,
			false},
		{"further topic", ClientOptions{Topic: "a", Topics: []string{"b"}}, "Apple Push Services: a", "a", null, "3014" +
			a + "0c0162" + "3005" + "0c03617070", false},
		{"no UID", ClientOptions{Topic: "a", NoUID: true, Topics: []string{}}, "Apple Push Services: a", "", null,
			"300a" + a, false},
		{"own name", ClientOptions{Topic: "a", CommonName: "APSP:1", Topics: []string{}}, "APSP:1", "a", null, "300a" + a,
			false},
		{"RSA", ClientOptions{CommonName: "some client", Key: RSA}, "some client", "", "", "", false},
		{"nothing of Apple's", ClientOptions{CommonName: "some client"}, "some client", "", "", "", false},
		{"expired", ClientOptions{CommonName: "old", NotBefore: now.AddDate(-2, 0, 0), NotAfter: now.AddDate(-1, 0, 0)},
			"old", "", "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := issue(t, tt.options).Leaf
			if cert.Subject.CommonName != tt.cn || uid(cert) != tt.uid {
				t.Errorf("got CN %q and UID %q, want %q and %q", cert.Subject.CommonName, uid(cert), tt.cn, tt.uid)
			}
			if got := extension(cert, oidTopics); got != tt.topics {
				t.Errorf("got topics %s, want %s", got, tt.topics)
			}
			for _, id := range []asn1.ObjectIdentifier{oidDevelopment, oidProduction} {
				if got := extension(cert, id); got != tt.mark {
					t.Errorf("got %s in %v, want %s", got, id, tt.mark)
				}
			}
			if _, isRSA := cert.PublicKey.(*rsa.PublicKey); isRSA != (tt.options.Key == RSA) {
				t.Errorf("got key %T", cert.PublicKey)
			}
			_, err := cert.Verify(x509.VerifyOptions{Roots: create(t).Pool(), CurrentTime: now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err != nil) != tt.expired {
				t.Errorf("got %v for a certificate that is expired: %v", err, tt.expired)
			}
		})
	}
}

// A provider and a server with these certificates accept one another.
func TestHandshake(t *testing.T) {
	p := create(t)
	for name, client := range map[string]Pair{"RSA": p.Client,
		"ECDSA": issue(t, ClientOptions{Topic: "com.example.other"})} {
		t.Run(name, func(t *testing.T) { handshake(t, p, client) })
	}
}

func handshake(t *testing.T, p *PKI, client Pair) {
	serverCert, err := p.Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	clientCert, err := client.TLS()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{serverCert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.Pool()})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{clientCert}, RootCAs: p.Pool(),
		ServerName: "gateway.push.apple.com"}).Handshake(); err != nil {
		t.Errorf("client: %v", err)
		b.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestTokenKey(t *testing.T) {
	block, rest := pem.Decode(create(t).TokenKey)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Fatalf("got block %v and %d bytes behind it, want one PRIVATE KEY", block, len(rest))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := key.(*ecdsa.PrivateKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("got %T, want a P-256 key", key)
	}
}

func TestWrite(t *testing.T) {
	p := create(t)
	dir := filepath.Join(t.TempDir(), "new", "pki")
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"ca.pem": p.CA.CertPEM, "ca-key.pem": p.CA.KeyPEM, "server.pem": p.Server.CertPEM, "server-key.pem": p.Server.KeyPEM,
		"client.pem": p.Client.CertPEM, "client-key.pem": p.Client.KeyPEM, "AuthKey_DEVELOPER.p8": p.TokenKey,
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Fatalf("got %d files (%v), want %d", len(entries), err, len(want))
	}
	for _, e := range entries {
		got, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || !bytes.Equal(got, want[e.Name()]) {
			t.Errorf("%s: got %q (%v), want %q", e.Name(), got, err, want[e.Name()])
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.Contains(e.Name(), "ey") {
			mode = 0o600
		}
		if info.Mode().Perm()&^mode != 0 || info.Mode().Perm()&0o600 != 0o600 {
			t.Errorf("%s: got mode %v, want %v", e.Name(), info.Mode(), mode)
		}
	}
}

// One file in the way, and nothing is written.
func TestWriteReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "client.pem")
	if err := os.WriteFile(inTheWay, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := create(t).Write(dir)
	if want := inTheWay + " exists already: remove it or choose another directory"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("got %d files, want the one that was there", len(entries))
	}
	if text, _ := os.ReadFile(inTheWay); string(text) != "precious" {
		t.Errorf("got %q in the file that was there", text)
	}
}

func TestCreateWithoutTopic(t *testing.T) {
	if _, err := Create(""); err == nil || !strings.Contains(err.Error(), "topic") {
		t.Errorf("got %v, want an error that asks for a topic", err)
	}
}

// CreateOf makes no RSA key that takes long, whoever signs what.
func TestCreateOf(t *testing.T) {
	p, err := CreateOf("com.example.demo", ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]Pair{"CA": p.CA, "server": p.Server, "client": p.Client} {
		if _, ok := pair.Leaf.PublicKey.(*ecdsa.PublicKey); !ok {
			t.Errorf("%s: got key %T", name, pair.Leaf.PublicKey)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: p.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
