package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// serverTLS admits who has a certificate of the fleet.
func serverTLS(certificate tls.Certificate, ca *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: ofTheFleet(ca),
		SessionTicketsDisabled: true,
	}
}

// clientTLS shows our certificate and wants one of the fleet. A node is known by its
// address and may have any name.
func clientTLS(certificate tls.Certificate, ca *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
		InsecureSkipVerify: true, VerifyConnection: ofTheFleet(ca), // in place of the name's verification
	}
}

// ofTheFleet verifies the other side's chain. Certificates of a fleet are for both
// sides, whatever use they name.
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
