// Package authority is a certification authority in a directory: for the names
// that providers verify, and for the providers themselves where Apple's push
// certificates are lost. What devpki makes is for trying out; this is to last.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The files of an authority.
const (
	CertificateFile = "ca.pem"
	KeyFile         = "ca-key.pem" // whoever has it can be any of the names: it belongs on no gateway
)

// How long certificates last. Old clients compare no more than the dates.
const (
	authorityYears = 20
	leafLife       = 825 * 24 * time.Hour
	backdated      = 24 * time.Hour // for clocks that are slow
)

// AppleNames are the hosts that providers have compiled in.
var AppleNames = []string{
	"gateway.push.apple.com", "feedback.push.apple.com",
	"gateway.sandbox.push.apple.com", "feedback.sandbox.push.apple.com",
}

// Authority signs certificates. Its directory belongs to its owner alone.
type Authority struct {
	Dir         string
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Create makes an authority in dir, which is made if need be. With names it is
// good for these hosts and those below them only, and says so in a critical
// extension, which clients before Java 7 and OpenSSL 1.0 refuse.
func Create(dir, commonName string, names []string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{CertificateFile, KeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is an authority in %s already (%s): it is good for %d years, and made "+
				"once: choose another directory to begin anew", dir, name, authorityYears)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{"apnsbridge"}},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if len(names) > 0 {
		template.PermittedDNSDomains, template.PermittedDNSDomainsCritical = names, true
	}
	a := &Authority{Dir: dir, key: key}
	der, err := a.sign(template, template, key.Public())
	if err != nil {
		return nil, err
	}
	if a.Certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return a, writePair(dir, CertificateFile, KeyFile, der, key)
}

// Open reads the authority in dir.
func Open(dir string) (*Authority, error) {
	certificate, err := readCertificate(filepath.Join(dir, CertificateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no authority in %s: make one there with `apnsbridge certs init`, and the same "+
			"--dir", dir)
	}
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the authority's key %s is not here: bring it from where it is kept, for as long "+
			"as it signs", filepath.Join(dir, KeyFile))
	}
	if err != nil {
		return nil, err
	}
	if public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok ||
		!public.Equal(key.Public()) {
		return nil, fmt.Errorf("%s in %s is not the key of %s: bring the two together that were made together",
			KeyFile, dir, CertificateFile)
	}
	return &Authority{Dir: dir, Certificate: certificate, key: key}, nil
}

// KeyKind is a kind of private key.
type KeyKind uint8

// RSA is for everything that is old, ECDSA costs the gateway a tenth of it.
const (
	RSA KeyKind = iota
	ECDSA
)

func (k KeyKind) generate() (crypto.Signer, error) {
	if k == ECDSA {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// IssueServer makes NAME.pem and NAME-key.pem for hosts, names or addresses.
func (a *Authority) IssueServer(name string, hosts []string, kind KeyKind, now time.Time) (*x509.Certificate, error) {
	for _, host := range hosts {
		if !a.goodFor(host) {
			return nil, fmt.Errorf("the authority in %s is good for %s only, and not for %s: leave the name out, or make "+
				"another authority with `apnsbridge certs init --dir`", a.Dir,
				strings.Join(a.Certificate.PermittedDNSDomains, ", "), host)
		}
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0], Organization: []string{"apnsbridge"}},
		// Providers of the old kind may agree on RSA key exchange, which enciphers.
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if kind == ECDSA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(name, template, kind, now)
}

// goodFor reports whether clients take the authority's word for host (RFC 5280, section
// 4.2.1.10): constraints of names say nothing of addresses.
func (a *Authority) goodFor(host string) bool {
	permitted := a.Certificate.PermittedDNSDomains
	return len(permitted) == 0 || net.ParseIP(host) != nil || slices.ContainsFunc(permitted, func(domain string) bool {
		host, domain := strings.ToLower(host), strings.ToLower(strings.TrimPrefix(domain, "."))
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

var oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // RFC 4519, 2.39

// IssueClient makes NAME.pem and NAME-key.pem for a provider of topic, which is
// the subject's UID as Apple has it.
func (a *Authority) IssueClient(name, topic string, kind KeyKind, now time.Time) (*x509.Certificate, error) {
	return a.issue(name, &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "Apple Push Services: " + topic,
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidUID, Value: topic}},
		},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, kind, now)
}

func (a *Authority) issue(name string, template *x509.Certificate, kind KeyKind,
	now time.Time) (*x509.Certificate, error) {
	key, err := kind.generate()
	if err != nil {
		return nil, err
	}
	cert, der, err := a.certify(template, key.Public(), now)
	if err != nil {
		return nil, err
	}
	return cert, writePair(a.Dir, name+".pem", name+"-key.pem", der, key)
}

func (a *Authority) certify(template *x509.Certificate, public crypto.PublicKey,
	now time.Time) (*x509.Certificate, []byte, error) {
	template.NotBefore, template.NotAfter = now.Add(-backdated), now.Add(leafLife)
	if template.NotAfter.After(a.Certificate.NotAfter) {
		template.NotAfter = a.Certificate.NotAfter
	}
	if !now.Before(template.NotAfter) {
		return nil, nil, fmt.Errorf("the authority in %s has expired: make a new one, and give its %s to the "+
			"providers", a.Dir, CertificateFile)
	}
	der, err := a.sign(template, a.Certificate, public)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, der, err
}

func (a *Authority) sign(template, parent *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	const serialBits = 127
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
}
