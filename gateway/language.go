package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// language is the protocol of a client's first bytes.
type language uint8

const (
	speaksTLS language = iota // or something that crypto/tls is left to judge
	speaksSSLv2
	speaksSSLv3
	speaksFrames
	speaksHTTP
	speaksProxy
	speaksElse
)

// languageOf looks at the bytes that helloReader has read.
func languageOf(head []byte) language {
	const (
		handshake = 22
		alert     = 21

		// A 2-byte head with the high bit set, the type 1, then the version
		// (RFC 6101, appendix E).
		sslv2Bit, sslv2Type, sslv2ClientHello = 0x80, 2, 1

		// A record's head, a message's head, then the version.
		helloVersion = 5 + 4
		highestFrame = 2 // command
	)
	switch {
	case len(head) == 0, head[0] == alert:
		return speaksTLS
	case head[0] == handshake:
		if len(head) >= helloVersion+2 && head[helloVersion] == 3 && head[helloVersion+1] == 0 {
			return speaksSSLv3
		}
		return speaksTLS
	case head[0]&sslv2Bit != 0 && len(head) > sslv2Type && head[sslv2Type] == sslv2ClientHello:
		return speaksSSLv2
	case head[0] <= highestFrame:
		return speaksFrames
	}
	for _, start := range []string{"PROXY ", "\r\n\r\n\x00\r\nQUIT\n"} {
		if bytes.HasPrefix(head, []byte(start)) {
			return speaksProxy
		}
	}
	for _, method := range []string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "PRI "} {
		if bytes.HasPrefix(head, []byte(method)) {
			return speaksHTTP
		}
	}
	return speaksElse
}

const (
	terminate = "put stunnel or haproxy in front, and list its address under tls.terminated"
	oldCipher = "set tls.legacy_ciphers: true"

	speaksAsHTTP  = "HTTP"
	otherPort     = "this port takes the binary interface only"
	speaksAsProxy = "the PROXY protocol"
	noProxy       = "list the address of the program in front under proxy_protocol of this listener, or switch it " +
		"off there"
	wantsProxy = "switch the PROXY protocol on in the program in front, or take its address off proxy_protocol " +
		"of this listener"
)

// diagnosis says for a failed handshake what the client speaks, and what the operator can
// do about it; both are empty if that is not known.
func (a *arrival) diagnosis(err error) (speaks, remedy string) {
	switch {
	case errors.Is(err, errNoProxyHeader):
		return "no PROXY header", wantsProxy
	case errors.Is(err, errBadProxyHeader):
		return "a broken PROXY header", "see whether the program in front sends version 1 or 2 as it should"
	}
	switch a.spoken {
	case speaksSSLv2:
		return "a hello in SSLv2's form",
			"switch SSLv2 off in the provider, so that it begins with TLS; if that cannot be, " + terminate
	case speaksSSLv3:
		return "SSLv3", "switch TLS on in the provider; if that cannot be, " + terminate
	case speaksFrames:
		return "frames without TLS", "switch TLS on in the provider; if a program in front of the gateway has ended " +
			"it, list its address under tls.terminated"
	case speaksHTTP:
		return speaksAsHTTP, otherPort
	case speaksProxy:
		return speaksAsProxy, noProxy
	}
	return a.front.diagnosis(&a.hello, err)
}

// diagnosis does the same for a hello that crypto/tls has understood.
func (f *front) diagnosis(h *Hello, err error) (speaks, remedy string) {
	newest := newestVersion(h.OfferedVersions)
	if newest == 0 || newest >= tls.VersionTLS13 {
		return "", ""
	}
	speaks = tls.VersionName(newest)
	switch {
	case newest < f.tls.MinVersion:
		return speaks, fmt.Sprintf("set tls.min_version: %q", strings.TrimPrefix(speaks, "TLS "))
	case slices.ContainsFunc(h.OfferedCiphers, f.admits):
		if !f.legacy && refusedSHA1(err) {
			return speaks + " with SHA-1 signatures only", oldCipher
		}
	case slices.ContainsFunc(h.OfferedCiphers, isLegacyCipher):
		return speaks + " with none but old ciphers", oldCipher
	case len(h.OfferedCiphers) > 0:
		return speaks + " with ciphers that the gateway does not know", terminate
	}
	return "", ""
}

// misled is the diagnosis of a connection without TLS whose first bytes are not a
// frame.
func (c *Conn) misled(b []byte) (speaks, remedy string) {
	if _, ok := c.stream.(plain); !ok {
		return "", ""
	}
	switch languageOf(b) {
	case speaksTLS, speaksSSLv2, speaksSSLv3:
		return "TLS",
			"the address is listed under tls.terminated: end TLS in the program there, or take the address off the list"
	case speaksHTTP:
		return speaksAsHTTP, otherPort
	case speaksProxy:
		return speaksAsProxy, noProxy
	}
	return "", ""
}

// newestVersion gives the newest version offered, leaving out reserved ones (GREASE,
// RFC 8701); 0 if there is no other.
func newestVersion(offered []uint16) (newest uint16) {
	for _, v := range offered {
		if v >= tls.VersionTLS10 && v <= tls.VersionTLS13 {
			newest = max(newest, v)
		}
	}
	return newest
}

// refusedSHA1 reports whether crypto/tls has ended a handshake of TLS 1.2 because the
// client wanted or made a signature with SHA-1. crypto/tls has no error value for that.
func refusedSHA1(err error) bool {
	return slices.ContainsFunc([]string{
		"missing signature_algorithms",
		"doesn't support any of the certificate's signature algorithms",
		"client certificate used with invalid signature algorithm",
	}, func(text string) bool { return strings.Contains(err.Error(), text) })
}
