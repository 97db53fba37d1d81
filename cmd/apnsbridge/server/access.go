package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"apnsbridge/cmd/apnsbridge/smallfile"
)

// access says who may use the admin port.
type access struct {
	token       *[sha256.Size]byte // hash of the token that a request must have; nil: none
	certificate serverCertificate  // empty: no TLS
	clients     *x509.CertPool     // clients must have a certificate of these; nil: not needed
}

// access reads the files that guard the admin port.
func (a *Assembly) access() (access, error) {
	var to access
	c := a.config.Admin
	if c.Listen == "" {
		return to, nil
	}
	var errs []error
	problem := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	if c.Token != "" || c.TokenFile != "" {
		to.token, err = a.adminToken()
		problem(err)
	}
	if c.Certificate != "" {
		to.certificate, err = adminFiles(a.config).read()
		problem(err)
	}
	if c.ClientCA != "" {
		if to.clients, err = smallfile.Pool(a.config.Path(c.ClientCA)); err != nil {
			problem(fmt.Errorf("admin.client_ca: %w", err))
		}
	}
	return to, errors.Join(errs...)
}

// tokenBytes is the least length of a token: a caller may try as often as it likes over
// the network.
const tokenBytes = 16

// adminToken returns the hash of the token. Its errors do not show the token.
func (a *Assembly) adminToken() (*[sha256.Size]byte, error) {
	setting, token := "admin.token", []byte(a.config.Admin.Token)
	if file := a.config.Admin.TokenFile; file != "" {
		text, err := smallfile.Read(a.config.Path(file))
		if err != nil {
			return nil, fmt.Errorf("admin.token_file: %w", err)
		}
		setting, token = "admin.token_file "+a.config.Path(file), bytes.TrimRight(text, "\r\n")
	}
	const make = "make one with openssl rand -hex 32"
	switch {
	case len(token) < tokenBytes:
		return nil, fmt.Errorf("%s: the token has %d bytes, and needs %d: %s", setting, len(token), tokenBytes, make)
	case slices.ContainsFunc(token, func(b byte) bool { return b <= ' ' || b > '~' }):
		return nil, fmt.Errorf("%s: the token has bytes that no header can carry: %s", setting, make)
	}
	hash := sha256.Sum256(token)
	return &hash, nil
}

// bears reports whether token is the right one, in constant time.
func (to access) bears(token string) bool {
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], to.token[:]) == 1
}

// guarded reports whether clients must show a token or a certificate.
func (to access) guarded() bool { return to.token != nil || to.clients != nil }

// tls is the TLS configuration of the admin port. Sessions are not resumed, so that each
// connection shows its certificate again.
func (to access) tls() *tls.Config {
	c := &tls.Config{
		Certificates:           []tls.Certificate{to.certificate.Certificate},
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	if to.clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, to.clients
	}
	return c
}
