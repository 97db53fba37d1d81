package devpki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts the PKI into dir, which it makes if need be: ca.pem, ca-key.pem,
// server.pem, server-key.pem, client.pem, client-key.pem and
// AuthKey_DEVELOPER.p8, the keys readable by their owner only. It replaces no
// file: if one of them exists, nothing is written.
func (p *PKI) Write(dir string) error {
	const public, secret = 0o644, 0o600
	files := []struct {
		name string
		text []byte
		mode fs.FileMode
	}{
		{"ca.pem", p.CA.CertPEM, public},
		{"ca-key.pem", p.CA.KeyPEM, secret},
		{"server.pem", p.Server.CertPEM, public},
		{"server-key.pem", p.Server.KeyPEM, secret},
		{"client.pem", p.Client.CertPEM, public},
		{"client-key.pem", p.Client.KeyPEM, secret},
		{"AuthKey_DEVELOPER.p8", p.TokenKey, secret},
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s exists already: remove it or choose another directory", name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := writeNew(filepath.Join(dir, f.name), f.text, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func writeNew(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
