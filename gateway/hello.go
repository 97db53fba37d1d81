package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
)

// Hello is what is known of a client when Admit decides about it. It is
// borrowed until Admit returns, but not what it points to; Client and App alone are to
// be written.
type Hello struct {
	// Chain is what the client sent, its own certificate first, none if it sent
	// none. Nobody has verified it; that the client has the key is proven only
	// when the function that Admit returned is called.
	Chain []*x509.Certificate

	Remote     netip.AddrPort // as the PROXY header has it, where there is one
	Label      string         // of the Endpoint
	ServerName string         // SNI, "" for most old libraries
	Version    uint16         // tls.VersionTLS12
	Cipher     uint16         // tls.TLS_RSA_WITH_AES_128_CBC_SHA
	Terminated bool           // plain TCP from a program at one of Port.Terminated: Remote and Label are all there is
	Resumed    bool           // by a TLS 1.2 ticket: Chain is that of the first connection

	// Client is for Admit to set: who this is, by a name that is the same whenever
	// it comes. Its connections are counted by that name; those of "" are not.
	Client string

	// App is for Admit to set too: of whose share of the connections this one is.
	// One of "" has no share, and gives way to none.
	App string

	// What the client offered, by which libraries can be told apart.
	OfferedVersions   []uint16
	OfferedCiphers    []uint16
	OfferedExtensions []uint16 // in their order
	OfferedCurves     []tls.CurveID
	OfferedPoints     []uint8
}

// SplitsRecords reports whether what is written to the client leaves in a record of
// one byte and another with the rest, as crypto/tls does with CBC in TLS 1.0. No
// library reads an error response that comes so: libcapn sends all again for ever,
// PushSharp hangs, node-apn ends its process.
func (h *Hello) SplitsRecords() bool {
	return h.Version == tls.VersionTLS10 && strings.Contains(tls.CipherSuiteName(h.Cipher), "_CBC_")
}

// Legacy reports whether the connection is one that no port takes by default: TLS
// 1.0 or 1.1, or a cipher of Port.LegacyCiphers.
func (h *Hello) Legacy() bool {
	return !h.Terminated && (h.Version < tls.VersionTLS12 || isLegacyCipher(h.Cipher))
}
