package server

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"

	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/smallfile"
)

// shown warns of what providers may object to in the server certificates.
func (a *Assembly) shown() (all []warning) {
	certificates, files := a.serverCertificates(), providerFiles(a.config)
	rsaAmong := false
	for i, certificate := range certificates {
		if certificate.Leaf != nil {
			_, isRSA := certificate.Leaf.PublicKey.(*rsa.PublicKey)
			rsaAmong = rsaAmong || isRSA
			all = append(all, objections(files[i], certificate.Leaf)...)
		}
	}
	if !rsaAmong && certificates[0].Leaf != nil {
		all = append(all, objection(files[0], "its key is not RSA, and old providers know no other: make one with "+
			"`apnsbridge certs server`"))
	}
	return all
}

func objection(f certificateFiles, text string) warning {
	return warning{setting: f.section + ".certificate", text: "tls.certificate " + f.certificate + ": " + text}
}

// objections returns what providers may object to in one certificate.
func objections(f certificateFiles, leaf *x509.Certificate) (all []warning) {
	const remedy = ": make one with `apnsbridge certs server`"
	var missing []string
	for _, name := range authority.AppleNames {
		if leaf.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		all = append(all, objection(f, fmt.Sprintf("it does not carry %s: providers that are redirected by name "+
			"refuse it; make one with `apnsbridge certs server`", strings.Join(missing, ", "))))
	}
	if weak := leaf.SignatureAlgorithm; weak == x509.SHA1WithRSA || weak == x509.MD5WithRSA {
		all = append(all, objection(f, fmt.Sprintf("it is signed with %v, which newer providers refuse"+remedy, weak)))
	}
	if len(leaf.ExtKeyUsage) > 0 && leaf.VerifyHostname(authority.AppleNames[0]) == nil {
		pool := x509.NewCertPool()
		pool.AddCert(leaf)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: leaf.NotAfter}); err != nil {
			all = append(all, objection(f, "it is not for servers"+remedy))
		}
	}
	return all
}

// reachable warns if no provider can ask for an environment, or if this machine cannot
// verify Apple's certificates.
func (a *Assembly) reachable() (all []warning) {
	sandbox := false
	for _, l := range a.config.Gateway.Listen {
		sandbox = sandbox || l.Environment == "sandbox"
	}
	var without []string
	apple := false
	for _, app := range a.apps {
		c := a.config.Apps[app.Name]
		if c.Environment == "by-listener" && !sandbox {
			without = append(without, app.Name)
		}
		apple = apple || c.EndpointCA == ""
	}
	if len(without) > 0 {
		all = append(all, warning{setting: "gateway.listen", text: fmt.Sprintf(
			"gateway.listen: no listener has environment: sandbox, and %s is by-listener: only providers that ask "+
				"for gateway.sandbox.push.apple.com by name reach the sandbox",
			config.Few(without))})
	}
	if pool, err := x509.SystemCertPool(); apple && (err != nil || pool.Equal(x509.NewCertPool())) {
		all = append(all, warning{setting: "apps", text: "this machine has no certificate authorities, so that " +
			"APNs cannot be verified: " +
			"install the package ca-certificates, which has Apple's (USERTrust RSA Certification Authority)"})
	}
	return all
}

// besideCertificate is where `certs` puts the CA's certificate.
func besideCertificate(certificate string) string {
	return filepath.Join(filepath.Dir(certificate), authority.CertificateFile)
}

// ProviderTLS returns a TLS configuration that verifies the gateway like a redirected
// provider: by one of Apple's names, and by the CA that has signed the certificate, whose
// file is beside it. If the certificate does not have that name, it uses one that it has.
func ProviderTLS(settings *config.Config, name string) (*tls.Config, error) {
	shown := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	var err error
	if shown.RootCAs, err = x509.SystemCertPool(); err != nil {
		shown.RootCAs = x509.NewCertPool()
	}
	for _, files := range providerFiles(settings) {
		pair, err := files.read()
		if err != nil {
			return nil, err
		}
		if pair.Leaf.VerifyHostname(shown.ServerName) != nil && len(pair.Leaf.DNSNames) > 0 {
			shown.ServerName = pair.Leaf.DNSNames[0]
		}
		if text, err := smallfile.Read(besideCertificate(files.certificate)); err == nil {
			shown.RootCAs.AppendCertsFromPEM(text)
		}
	}
	return shown, nil
}
