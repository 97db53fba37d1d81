package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/smallfile"
)

// clientFlags are how a provider's side introduces itself, for send and
// feedback.
type clientFlags struct {
	Cert       string `placeholder:"FILE" help:"The provider's certificate, PEM."`
	Key        string `placeholder:"FILE" help:"Its key, PEM. Default: in the certificate's file."`
	CA         string `name:"ca" placeholder:"FILE" help:"Who has signed the gateway's certificate, PEM. Default: the system's authorities."`
	ServerName string `placeholder:"HOST" help:"The name in the gateway's certificate. Default: the host connected to."`
}

func (f clientFlags) tls() (*tls.Config, error) {
	config := &tls.Config{ServerName: f.ServerName, MinVersion: tls.VersionTLS12}
	if f.Cert != "" {
		key := f.Key
		if key == "" {
			key = f.Cert
		}
		pair, err := smallfile.Pair(f.Cert, key)
		if err != nil {
			return nil, fmt.Errorf("the provider's certificate %s with key %s: %w", f.Cert, key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.CA != "" {
		pool, err := smallfile.Pool(f.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	return config, nil
}

// clientProblem says, in plain words, why the gateway cannot be spoken to, and what
// to do where the two sides do not take each other's certificates.
func clientProblem(err error) error {
	var foreign x509.UnknownAuthorityError
	var name x509.HostnameError
	refused := strings.Contains(err.Error(), "remote error: tls:")
	err = upstream.Plain(err)
	switch {
	case errors.As(err, &foreign):
		return fmt.Errorf("the gateway's certificate is signed by nobody whom this machine trusts: name who has "+
			"signed it with --ca (%w)", err)
	case errors.As(err, &name):
		return fmt.Errorf("the gateway's certificate is for other names: name one of them with --server-name (%w)", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: start the gateway, or say where it listens, with --gateway or --feedback", err)
	case refused:
		return fmt.Errorf("the gateway does not admit this certificate, or the lack of one: its log says why (%w)", err)
	}
	return err
}
