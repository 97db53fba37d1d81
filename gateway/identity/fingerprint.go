package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Fingerprint is the SHA-256 of a certificate, or of the public key within one.
type Fingerprint [sha256.Size]byte

// ParseFingerprint reads 64 hexadecimal digits, with or without the colons that
// `openssl x509 -fingerprint` puts between the bytes.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	digits := s
	if len(s) == 3*len(f)-1 {
		for i := 2; i < len(s); i += 3 {
			if s[i] != ':' {
				return f, notAFingerprint(s)
			}
		}
		digits = strings.ReplaceAll(s, ":", "")
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(f) {
		return f, notAFingerprint(s)
	}
	copy(f[:], b)
	return f, nil
}

func notAFingerprint(s string) error {
	return fmt.Errorf("%q is no SHA-256 fingerprint: give 64 hexadecimal digits, as openssl x509 -noout "+
		"-fingerprint -sha256 prints them", Clip(s))
}

// String gives the 32 bytes as openssl does, in small letters: ab:cd:…
func (f Fingerprint) String() string {
	b := make([]byte, 0, 3*len(f))
	for _, v := range f {
		b = append(hex.AppendEncode(b, []byte{v}), ':')
	}
	return string(b[:len(b)-1])
}
