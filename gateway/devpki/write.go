package devpki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a PKI.
const (
	caFile, caKeyFile         = "ca.pem", "ca-key.pem"
	serverFile, serverKeyFile = "server.pem", "server-key.pem"
	clientFile, clientKeyFile = "client.pem", "client-key.pem"
	tokenKeyFile              = "AuthKey_DEVELOPER.p8"
)

// Room makes dir if need be, and returns an error if it has one of the files that Write puts
// there. To ask before Create saves the time that keys take.
func Room(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{caFile, caKeyFile, serverFile, serverKeyFile, clientFile, clientKeyFile, tokenKeyFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already: remove it or choose another directory", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Write puts the PKI into dir, which it makes if need be: ca.pem, ca-key.pem,
// server.pem, server-key.pem, client.pem, client-key.pem and
// AuthKey_DEVELOPER.p8, the keys readable by their owner only. It replaces no
// file: if one of them exists, nothing is written.
func (p *PKI) Write(dir string) error {
	if err := Room(dir); err != nil {
		return err
	}
	const public, secret = 0o644, 0o600
	for _, f := range []struct {
		name string
		text []byte
		mode fs.FileMode
	}{
		{caFile, p.CA.CertPEM, public},
		{caKeyFile, p.CA.KeyPEM, secret},
		{serverFile, p.Server.CertPEM, public},
		{serverKeyFile, p.Server.KeyPEM, secret},
		{clientFile, p.Client.CertPEM, public},
		{clientKeyFile, p.Client.KeyPEM, secret},
		{tokenKeyFile, p.TokenKey, secret},
	} {
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
