package upstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Credential is what an app shows to APNs: a signing key for JWTs, or a client
// certificate. It is read from bytes and never changes.
type Credential struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	certificate   *tls.Certificate
	unusable      error             // neither of them
	digest        [sha256.Size]byte // of all it was made from
}

// Description is what may be shown of a Credential.
type Description struct {
	Kind    string    // "token", "certificate", or "none" if it is unusable
	KeyID   string    // of a token
	TeamID  string    // of a token
	Topic   string    // of a certificate: the app it is for
	Expires time.Time // of a certificate; a token's key does not expire
}

// NewTokenCredential reads a .p8 file: a P-256 key in PEM, as Apple's developer
// site gives it out. Key and team identifier have ten characters each.
func NewTokenCredential(p8 []byte, keyID, teamID string) (*Credential, error) {
	if keyID == "" || teamID == "" {
		return nil, errors.New("a token needs key_id and team_id: both stand on the key's page in Apple's " +
			"developer site")
	}
	f, err := readKeyFile(p8, "")
	switch {
	case errors.Is(err, errKeyLocked):
		return nil, errors.New("the private key is encrypted, and Apple's developer site gives none out that is: name " +
			"that file, or decrypt this one with openssl pkey -in FILE -out FILE2")
	case errors.Is(err, errStoreLocked):
		return nil, errors.New("the file is a .p12, and a token wants the key of Apple's developer site, " +
			"AuthKey_….p8: name that, or give the .p12 under credential.certificate")
	case err != nil:
		return nil, err
	case len(f.keys) == 0:
		return nil, fmt.Errorf("the file is a certificate (%s), and a token wants the key of Apple's developer "+
			"site, AuthKey_….p8: "+
			"name that, or give the certificate under credential.certificate", subjectOf(f.certificates[0]))
	case len(f.keys) > 1:
		return nil, fmt.Errorf("the file has %d private keys, and a token has one: name the .p8 file as Apple's "+
			"developer site gives it out", len(f.keys))
	}
	key, ok := f.keys[0].(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not a P-256 key: use the .p8 file as Apple's developer site gives it out")
	}
	return &Credential{key: key, keyID: keyID, teamID: teamID, digest: digest(p8, keyID, teamID)}, nil
}

// NewCertificateCredential reads a push certificate with its key from a .p12 file
// or PEM blocks in any order. password opens the file or its key; it is empty
// where there is none.
//
// Of several certificates with keys it takes, of those that fit, the one that lasts
// longest, and one that is not good yet at now only for want of another. Where there
// is only one, fits is not asked.
func NewCertificateCredential(file []byte, password string, now time.Time, fits func(*x509.Certificate) bool,
) (*Credential, error) {
	f, err := readKeyFile(file, password)
	if err != nil {
		return nil, err
	}
	cert, err := f.identity(now, fits)
	if err != nil {
		return nil, err
	}
	return &Credential{certificate: cert, digest: digest(file, password, "")}, nil
}

// Unusable stands for a credential that is no good, for the reason given: what
// has to be shown it waits, as for an APNs that cannot be reached.
func Unusable(reason error) *Credential {
	return &Credential{unusable: reason, digest: digest(nil, reason.Error(), "unusable")}
}

// Unusable gives the reason why the credential cannot be shown to APNs, nil if
// it can.
func (c *Credential) Unusable() error { return c.unusable }

// Leaf is the certificate, nil for a token.
func (c *Credential) Leaf() *x509.Certificate {
	if c.certificate == nil {
		return nil
	}
	return c.certificate.Leaf
}

func digest(file []byte, a, b string) [sha256.Size]byte {
	return sha256.Sum256(bytes.Join([][]byte{[]byte(a), []byte(b), file}, []byte{0}))
}

// Check says in one sentence why the credential is of no use at the given time.
func (c *Credential) Check(now time.Time) error {
	if c.certificate == nil {
		return nil
	}
	leaf := c.certificate.Leaf
	const day = "2006-01-02"
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("the push certificate of %s expired on %s: renew it in Apple's developer site, or use a "+
			"token",
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
	switch {
	case c.unusable != nil:
		return Description{Kind: "none"}
	case c.certificate == nil:
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
