package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
)

// Hello is what is known of a client when Admit decides about it. Admit borrows it until it
// returns, but may keep what it points to. Only Client and App are for Admit to write.
type Hello struct {
	// Chain is what the client sent, its own certificate first; empty if it sent none.
	// It was not verified, and that the client has the key is proven only when the
	// function that Admit returned is called.
	Chain []*x509.Certificate

	Remote     netip.AddrPort // from the PROXY header, if there is one
	Label      string         // of the Endpoint
	ServerName string         // SNI, "" for most old libraries
	Version    uint16         // tls.VersionTLS12
	Cipher     uint16         // tls.TLS_RSA_WITH_AES_128_CBC_SHA
	Terminated bool           // plain TCP from a program in Port.Terminated: only Remote and Label are known
	Resumed    bool           // by a TLS 1.2 ticket: Chain is that of the first connection

	// Client is for Admit to set: a name that is the same whenever this client comes.
	// Its connections are counted by that name; those of "" are not.
	Client string

	// App is for Admit to set too: the app for whose share this connection counts. A
	// connection of "" counts for no share, and never gives way.
	App string

	// What the client offered. Libraries can be told apart by it.
	OfferedVersions   []uint16
	OfferedCiphers    []uint16
	OfferedExtensions []uint16 // in the client's order
	OfferedCurves     []tls.CurveID
	OfferedPoints     []uint8
}

// SplitsRecords reports whether what is written to the client goes out as a record of
// one byte and another with the rest, which crypto/tls does with CBC in TLS 1.0. No
// library can read an error response that comes like that: libcapn sends everything
// again for ever, PushSharp hangs, node-apn ends its process.
func (h *Hello) SplitsRecords() bool {
	return h.Version == tls.VersionTLS10 && strings.Contains(tls.CipherSuiteName(h.Cipher), "_CBC_")
}

// Legacy reports whether the connection is of a kind that ports do not take by default:
// TLS 1.0 or 1.1, or a cipher of Port.LegacyCiphers.
func (h *Hello) Legacy() bool {
	return !h.Terminated && (h.Version < tls.VersionTLS12 || isLegacyCipher(h.Cipher))
}
