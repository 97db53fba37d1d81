// Package smallfile reads the certificates, keys and tokens that a configuration or a flag names, and says what to do
// about one that is of no use.
package smallfile

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"syscall"

	"apnsbridge/cmd/apnsbridge/config"
)

// mostFile is what a certificate, a key or a token may have, in bytes.
const mostFile = 1 << 20

// Read reads a file of at most mostFile bytes. Its error names the file, and
// the remedy.
func Read(path string) ([]byte, error) {
	text, err := config.ReadBounded(path, mostFile)
	switch {
	case errors.Is(err, config.ErrTooLong):
		return nil, fmt.Errorf("%s is longer than %d MiB, as no certificate or key is: correct the name", path,
			mostFile>>20)
	case err != nil:
		return nil, Problem(err)
	}
	return text, nil
}

// Problem adds the remedy to why a file cannot be read.
func Problem(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: put the file there, or correct its name", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: give the file to the user that apnsbridge runs as", err)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w: name a file in it", err)
	}
	return err
}

// Pool reads a file of PEM certificates.
func Pool(path string) (*x509.CertPool, error) {
	certs, err := Certificates(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// Certificates reads a file of PEM certificates, of which it has at least one.
func Certificates(path string) ([]*x509.Certificate, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate in %s cannot be read: copy it again, as a file", path)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM form: give a file with BEGIN CERTIFICATE in it", path)
	}
	return certs, nil
}
