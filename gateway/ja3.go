package gateway

import (
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"slices"
	"strconv"
)

// JA3 is a name for the client's library and its settings, 32 hexadecimal digits.
// Clients that offer the same have the same JA3, and public lists tell which libraries
// many of them belong to (github.com/salesforce/ja3). It is "" for a connection without
// TLS.
func (h *Hello) JA3() string {
	if len(h.OfferedVersions) == 0 {
		return ""
	}
	sum := md5.Sum(h.appendJA3(nil))
	return hex.EncodeToString(sum[:])
}

// appendJA3 appends the text that JA3 is the MD5 of: version, ciphers, extensions,
// curves and point formats in decimal, without GREASE.
func (h *Hello) appendJA3(b []byte) []byte {
	// A client with TLS 1.3 calls itself 1.2 there (RFC 8446, section 4.1.2).
	b = strconv.AppendUint(b, uint64(min(newestVersion(h.OfferedVersions), tls.VersionTLS12)), 10)
	b = appendList(append(b, ','), h.OfferedCiphers)
	b = appendList(append(b, ','), h.OfferedExtensions)
	b = appendList(append(b, ','), h.OfferedCurves)
	return appendList(append(b, ','), h.OfferedPoints)
}

func appendList[T ~uint8 | ~uint16](b []byte, list []T) []byte {
	for i, v := range slices.DeleteFunc(slices.Clone(list), func(v T) bool { return isGrease(uint16(v)) }) {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

// isGrease reports whether v is 0x0a0a, 0x1a1a and so on (RFC 8701).
func isGrease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
