package apnssim

import (
	"crypto/tls"
	"encoding/asn1"
	"strings"
)

// identity is what a client certificate says; the zero identity is a client
// without one.
type identity struct {
	topic       string // its UID
	development bool   // Apple's extensions; a certificate may have both
	production  bool
}

var (
	oidUID         = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	oidDevelopment = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
)

func identify(state tls.ConnectionState) identity {
	var id identity
	if len(state.VerifiedChains) == 0 {
		return id
	}
	leaf := state.PeerCertificates[0]
	for _, name := range leaf.Subject.Names {
		if name.Type.Equal(oidUID) {
			id.topic, _ = name.Value.(string)
		}
	}
	for _, extension := range leaf.Extensions {
		id.development = id.development || extension.Id.Equal(oidDevelopment)
		id.production = id.production || extension.Id.Equal(oidProduction)
	}
	return id
}

// fits reports whether the certificate is for the environment. One without
// Apple's extensions is for both.
func (id identity) fits(environment string) bool {
	switch {
	case !id.development && !id.production:
		return true
	case environment == Sandbox:
		return id.development
	case environment == Production:
		return id.production
	}
	return true
}

// covers reports whether the certificate is good for topic: its own, or one of
// its own with a suffix such as .voip.
func (id identity) covers(topic string) bool {
	rest, found := strings.CutPrefix(topic, id.topic)
	return found && (rest == "" || rest[0] == '.')
}
