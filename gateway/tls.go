package gateway

import (
	"crypto/tls"
	"slices"
	"strings"
)

// tlsConfig gives the configuration that all handshakes of a port begin with.
//
// A client certificate is asked for with an empty list of authorities, since Java sends
// none if it does not find its own in the list. Only Admit verifies it: real push
// certificates are expired, signed with SHA-1, or both.
func (p *Port) tlsConfig() *tls.Config {
	config := &tls.Config{
		GetCertificate:              showing(p.Certificate),
		MinVersion:                  p.MinVersion,
		ClientAuth:                  tls.RequestClientCert,
		DynamicRecordSizingDisabled: true, // the feedback port fills its records
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if p.LegacyCiphers {
		config.CipherSuites = legacyCiphers()
	}
	// Tickets are for TLS 1.2 only. In TLS 1.3 they come after the handshake, where providers
	// that wait for six bytes with select choke on them, and those that never read lose what
	// they wrote last to a reset. crypto/tls takes the keys for tickets from config.
	tls12, tls13 := &desks{base: config, tickets: true}, &desks{base: config}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		a := hello.Conn.(*wire).arrival
		a.heard(hello)
		if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			a.desk = tls13.take(a)
		} else {
			a.desk = tls12.take(a)
		}
		return a.desk.config, nil
	}
	return config
}

// heard notes what a client says of itself.
func (a *arrival) heard(hello *tls.ClientHelloInfo) {
	a.hello.ServerName = hello.ServerName
	a.hello.OfferedVersions = hello.SupportedVersions
	a.hello.OfferedCiphers = hello.CipherSuites
	a.hello.OfferedExtensions = hello.Extensions
	a.hello.OfferedCurves = hello.SupportedCurves
	a.hello.OfferedPoints = hello.SupportedPoints
}

// legacyCiphers gives the ciphers that crypto/tls offers by default, followed by the old
// ones.
func legacyCiphers() []uint16 {
	var ids []uint16
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if isLegacyCipher(suite.ID) {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

// isLegacyCipher reports whether a cipher has key exchange with RSA, CBC with SHA-256, or
// 3DES. RC4 is left out: every library that knows it also knows 3DES.
func isLegacyCipher(id uint16) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(suite *tls.CipherSuite) bool {
		return suite.ID == id && !strings.Contains(suite.Name, "_RC4_")
	})
}

// admits reports whether the port's settings admit a cipher.
func (f *front) admits(id uint16) bool {
	return f.legacy && isLegacyCipher(id) ||
		slices.ContainsFunc(tls.CipherSuites(), func(suite *tls.CipherSuite) bool { return suite.ID == id })
}
