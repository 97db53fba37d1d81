package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"apnsbridge/cmd/apnsbridge/config"
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
		pair, err := tls.LoadX509KeyPair(f.Cert, key)
		if err != nil {
			return nil, fmt.Errorf("the provider's certificate %s with key %s: %w", f.Cert, key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.CA != "" {
		pool, err := readPool(f.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	return config, nil
}

// readPool reads a file of PEM certificates.
func readPool(path string) (*x509.CertPool, error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form: give a file with BEGIN CERTIFICATE in it", path)
	}
	return pool, nil
}

// readPool reads a file of PEM certificates that the configuration names.
func (a *assembly) readPool(name string) (*x509.CertPool, error) {
	if config.IsKeyText(name) {
		return nil, errKeyAsPath
	}
	return readPool(a.config.Path(name))
}
