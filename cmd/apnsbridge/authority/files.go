package authority

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	publicMode = 0o644
	secretMode = 0o600
)

// writePair writes a certificate and its key, and replaces neither.
func writePair(dir, certificate, key string, der []byte, signer crypto.Signer) error {
	text, err := keyPEM(signer)
	if err != nil {
		return err
	}
	for _, name := range []string{certificate, key} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already: renew it with `apnsbridge certs renew`, or choose another --name",
				filepath.Join(dir, name))
		}
	}
	if err := writeNew(filepath.Join(dir, key), text, secretMode); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, certificate), certificatePEM(der), publicMode)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// keyPEM is PKCS #1 for RSA, which all old libraries read, and PKCS #8 otherwise.
func keyPEM(key crypto.Signer) ([]byte, error) {
	if key, ok := key.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// replace puts a certificate in place of another in one step.
func replace(path string, der []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(next, certificatePEM(der), publicMode); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func readCertificate(path string) (*x509.Certificate, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s is not a certificate: bring the file that was made", path)
	}
	return cert, nil
}

func readKey(path string) (crypto.Signer, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := key.(crypto.Signer); ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s is not a private key: bring the file that was made", path)
}

func readPEM(path string) (*pem.Block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM: bring the file that was made", path)
	}
	return block, nil
}
