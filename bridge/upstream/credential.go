package upstream

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sideshow/apns2/certificate"
	"github.com/sideshow/apns2/token"
	"software.sslmate.com/src/go-pkcs12"
)

// Credential is what an app shows to APNs: a signing key for JWTs, or a client
// certificate. It is read from bytes and never changes.
type Credential struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	certificate   *tls.Certificate
	digest        [sha256.Size]byte // of all it was made from
}

// Description is what may be shown of a Credential.
type Description struct {
	Kind    string    // "token" or "certificate"
	KeyID   string    // of a token
	TeamID  string    // of a token
	Topic   string    // of a certificate: the app it is for
	Expires time.Time // of a certificate; a token's key does not expire
}

// NewTokenCredential reads a .p8 file: a P-256 key in PEM, as Apple's developer
// site gives it out. Key and team identifier have ten characters each.
func NewTokenCredential(p8 []byte, keyID, teamID string) (*Credential, error) {
	if keyID == "" || teamID == "" {
		return nil, errors.New("a token needs key_id and team_id: both stand on the key's page in Apple's developer site")
	}
	key, err := token.AuthKeyFromBytes(p8)
	switch {
	case errors.Is(err, token.ErrAuthKeyNotECDSA), err == nil && key.Curve != elliptic.P256():
		return nil, errors.New("the key is not a P-256 key: use the .p8 file as Apple's developer site gives it out")
	case err != nil:
		return nil, fmt.Errorf("not a .p8 file (a PEM block PRIVATE KEY): %w", err)
	}
	return &Credential{key: key, keyID: keyID, teamID: teamID, digest: digest(p8, keyID, teamID)}, nil
}

// NewCertificateCredential reads a push certificate with its key: a .p12 file,
// with its chain if it has one, or PEM blocks in any order. password opens the
// file or its key; it is empty where there is none.
func NewCertificateCredential(file []byte, password string) (*Credential, error) {
	var cert tls.Certificate
	var err error
	if block, _ := pem.Decode(file); block != nil {
		cert, err = fromPEM(file, password)
	} else {
		cert, err = fromPKCS12(file, password)
	}
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("the certificate cannot be read: %w", err)
		}
	}
	if !keyFits(cert.PrivateKey, cert.Leaf) {
		return nil, errors.New("certificate and private key do not belong together: export both in one file")
	}
	return &Credential{certificate: &cert, digest: digest(file, password, "")}, nil
}

func digest(file []byte, a, b string) [sha256.Size]byte {
	return sha256.Sum256(bytes.Join([][]byte{[]byte(a), []byte(b), file}, []byte{0}))
}

func fromPKCS12(file []byte, password string) (tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(file, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return tls.Certificate{}, errors.New("the password does not open the .p12 file")
	case err != nil:
		return tls.Certificate{}, fmt.Errorf("neither PEM nor a .p12 file with one certificate and its key: %w", err)
	}
	cert := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// fromPEM takes keys in PKCS #1, PKCS #8 and SEC 1. apns2 opens those that are
// encrypted in PEM's own old way.
func fromPEM(file []byte, password string) (tls.Certificate, error) {
	if bytes.Contains(file, []byte("Proc-Type: 4,ENCRYPTED")) {
		cert, err := certificate.FromPemBytes(file, password)
		if err != nil {
			return cert, fmt.Errorf("the password does not open the private key: %w", err)
		}
		return cert, nil
	}
	if bytes.Contains(file, []byte("BEGIN ENCRYPTED PRIVATE KEY")) {
		return tls.Certificate{}, errors.New(
			"the private key is encrypted in PKCS #8: decrypt it with openssl pkey, or use a .p12 file")
	}
	cert, err := tls.X509KeyPair(file, file)
	if err != nil {
		return cert, fmt.Errorf("the PEM file needs a certificate and its private key: %s",
			strings.TrimPrefix(err.Error(), "tls: "))
	}
	return cert, nil
}

func keyFits(key crypto.PrivateKey, leaf *x509.Certificate) bool {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k.PublicKey.Equal(leaf.PublicKey)
	case *ecdsa.PrivateKey:
		return k.PublicKey.Equal(leaf.PublicKey)
	}
	return false
}

// Check says in one sentence why the credential is of no use at the given time.
func (c *Credential) Check(now time.Time) error {
	if c.certificate == nil {
		return nil
	}
	leaf := c.certificate.Leaf
	const day = "2006-01-02"
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("the push certificate of %s expired on %s: renew it in Apple's developer site, or use a token",
			topicOf(leaf.Subject), leaf.NotAfter.UTC().Format(day))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("the push certificate of %s is not valid before %s: is this machine's clock right?",
			topicOf(leaf.Subject), leaf.NotBefore.UTC().Format(day))
	}
	return nil
}

// Describe says what the credential is, without its secrets.
func (c *Credential) Describe() Description {
	if c.certificate == nil {
		return Description{Kind: "token", KeyID: c.keyID, TeamID: c.teamID}
	}
	leaf := c.certificate.Leaf
	return Description{Kind: "certificate", Topic: topicOf(leaf.Subject), Expires: leaf.NotAfter}
}

var oidUserID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// topicOf is the app a push certificate is for: the subject's UID, else what
// follows the colon in its common name.
func topicOf(subject pkix.Name) string {
	for _, name := range subject.Names {
		if uid, ok := name.Value.(string); ok && name.Type.Equal(oidUserID) {
			return uid
		}
	}
	_, topic, found := strings.Cut(subject.CommonName, ":")
	if !found {
		return subject.CommonName
	}
	return strings.TrimSpace(topic)
}

// Equal reports whether c and d were made from the same bytes.
func (c *Credential) Equal(d *Credential) bool { return c.digest == d.digest }

// Digest names the credential: two that are Equal have the same.
func (c *Credential) Digest() [sha256.Size]byte { return c.digest }
