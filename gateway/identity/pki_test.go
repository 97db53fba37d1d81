package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"

	"apnsbridge/gateway/devpki"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two authorities that have nothing to do with each other.
var (
	ours   = sync.OnceValues(func() (*devpki.PKI, error) { return devpki.Create("com.example.mail") })
	others = sync.OnceValues(func() (*devpki.PKI, error) { return devpki.Create("com.example.mail") })
)

type authorities struct {
	ours, others *devpki.PKI
	now          time.Time
}

func create(t *testing.T) authorities {
	t.Helper()
	a := authorities{now: time.Now()}
	var err error
	if a.ours, err = ours(); err != nil {
		t.Fatal(err)
	}
	if a.others, err = others(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authorities) ca() []*x509.Certificate      { return []*x509.Certificate{a.ours.CA.Leaf} }
func (a authorities) otherCA() []*x509.Certificate { return []*x509.Certificate{a.others.CA.Leaf} }

// issue gives the chain of a certificate of p.
func issue(t *testing.T, p *devpki.PKI, o devpki.ClientOptions) []*x509.Certificate {
	t.Helper()
	pair, err := p.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{pair.Leaf}
}

// old is a real certificate of 2012: expired, and signed with SHA-1, which Go
// itself does not do any more. It was made with openssl ca -md sha1.
func old(t *testing.T) []*x509.Certificate {
	t.Helper()
	text, err := os.ReadFile("testdata/sha1-expired.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{cert}
}

// throughIntermediate gives a chain of three: a leaf of the UID "com.example.mail",
// what has signed it, and the root.
func throughIntermediate(t *testing.T, use x509.ExtKeyUsage) (chain []*x509.Certificate) {
	t.Helper()
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for i, name := range []string{"root", "intermediate", "leaf"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(int64(i + 1)),
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(time.Hour),
			BasicConstraintsValid: true,
			IsCA:                  name != "leaf",
		}
		if name == "leaf" {
			template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidUID, Value: "com.example.mail"}}
			template.ExtKeyUsage = []x509.ExtKeyUsage{use}
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		parentKey = key
		chain = append([]*x509.Certificate{parent}, chain...)
	}
	return chain
}

func fingerprint(chain []*x509.Certificate) Fingerprint { return sha256.Sum256(chain[0].Raw) }
func keyPrint(chain []*x509.Certificate) Fingerprint {
	return sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
}
