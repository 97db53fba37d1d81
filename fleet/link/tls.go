package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// serverTLS admits clients that have a certificate of the fleet.
func serverTLS(certificate tls.Certificate, ca *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: ofTheFleet(ca),
		SessionTicketsDisabled: true,
	}
}

// clientTLS presents our certificate and requires one of the fleet. A node is known by its
// address; its certificate may name anything.
func clientTLS(certificate tls.Certificate, ca *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
		InsecureSkipVerify: true, VerifyConnection: ofTheFleet(ca), // in place of verifying the name
	}
}

// ofTheFleet verifies the other side's chain. A fleet's certificates serve for both sides,
// whatever extended key usage they have.
func ofTheFleet(ca *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("link: the other node shows no certificate")
		}
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots: ca, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			return fmt.Errorf("link: the other node's certificate is not of fleet.ca: %w", err)
		}
		return nil
	}
}
