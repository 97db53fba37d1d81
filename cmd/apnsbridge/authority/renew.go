package authority

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Renewed is a certificate that Renew has looked at.
type Renewed struct {
	File    string
	Expires time.Time // as it is now
	Done    bool      // it was renewed; otherwise it lasts longer than within
}

// Renew makes those certificates in the directory anew that the authority has
// signed and that expire within the given time. Keys and names stay: a pin of the
// key holds, and a gateway takes the new one without a restart.
func (a *Authority) Renew(within time.Duration, now time.Time) (all []Renewed, err error) {
	entries, err := os.ReadDir(a.Dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".pem")
		if !ok || strings.HasSuffix(name, "-key") || entry.Name() == CertificateFile {
			continue
		}
		path := filepath.Join(a.Dir, entry.Name())
		old, err := readCertificate(path)
		if err != nil || old.IsCA || old.CheckSignatureFrom(a.Certificate) != nil {
			continue // another authority's
		}
		if old.NotAfter.Sub(now) > within {
			all = append(all, Renewed{path, old.NotAfter, false})
			continue
		}
		cert, der, err := a.certify(&x509.Certificate{
			Subject: old.Subject, RawSubject: old.RawSubject, DNSNames: old.DNSNames, IPAddresses: slices.Clone(old.IPAddresses),
			KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage,
		}, old.PublicKey, now)
		if err != nil {
			return all, err
		}
		if err := replace(path, der); err != nil {
			return all, err
		}
		all = append(all, Renewed{path, cert.NotAfter, true})
	}
	return all, nil
}
