package config

import (
	"crypto/sha1" // only to recognise a fingerprint of the wrong kind
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes: 65536, 64KiB, 1 GiB.
type Size int64

// Count is how many of something.
type Count int

// Duration is a time.Duration that also knows days: 10s, 5m, 90d.
type Duration time.Duration

// Share is a part of a whole, in percent: 10 %.
type Share int

// Loops is a number of event loops, 0 for auto.
type Loops int

// Rate is how often something may happen: 500/s, 600/m, 1000/h.
type Rate struct {
	Count Count
	Per   Duration
}

// Networks is one network or a list of them: 127.0.0.1, 10.0.0.0/8.
type Networks []netip.Prefix

// Strings is one text or a list of them.
type Strings []string

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
type Fingerprint string

// KeyFingerprint is the SHA-256 of a public key, in hexadecimal.
type KeyFingerprint string

// Range is two numbers with two dots between: 32..100.
type Range struct{ Min, Max int }

var sizeUnits = []string{"KiB", "MiB", "GiB", "TiB"}

// String returns s exactly, in a form that a configuration may have.
func (s Size) String() string {
	unit := ""
	for _, larger := range sizeUnits {
		if s == 0 || s%1024 != 0 {
			break
		}
		s, unit = s/1024, larger
	}
	return strconv.FormatInt(int64(s), 10) + unit
}

// UnmarshalText reads a size with an optional binary unit.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	number, factor := text, int64(1)
	for i, unit := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			number, factor = strings.TrimSpace(rest), 1<<(10*(i+1))
		}
	}
	n, err := wholeNumber(number, 62)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no size: write a positive number of bytes, or one with KiB, MiB or GiB", Clip(text))
	}
	*s = Size(min(n, (1<<62)/factor) * factor)
	return nil
}

// wholeNumber reads a number of the given bits. A larger one becomes the largest, which is
// then refused by an upper bound.
func wholeNumber(text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		err = nil
	}
	return n, err
}

// UnmarshalText reads a positive number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := wholeNumber(string(text), 32)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no count: write a whole number from 1", Clip(string(text)))
	}
	*c = Count(n)
	return nil
}

// UnmarshalText reads whole percents.
func (p *Share) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 8)
	if err != nil || !ok || n < 1 || n > 100 {
		return fmt.Errorf("%q is no share: write one like 10 %%, from 1 %% to 100 %%", Clip(string(text)))
	}
	*p = Share(n)
	return nil
}

// UnmarshalText reads auto or a positive number.
func (l *Loops) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*l = 0
		return nil
	}
	n, err := wholeNumber(string(text), 16)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number of loops: write auto, or a whole number from 1", Clip(string(text)))
	}
	*l = Loops(n)
	return nil
}

// UnmarshalText reads a positive duration.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	var v time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = wholeNumber(days, 16)
		v = time.Duration(n) * 24 * time.Hour
	} else {
		v, err = time.ParseDuration(text)
	}
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is no duration: write one like 10s, 5m, 24h or 90d", Clip(text))
	}
	*d = Duration(v)
	return nil
}

// UnmarshalText reads a number of times and a unit of time.
func (r *Rate) UnmarshalText(text []byte) error {
	const most = 1_000_000
	number, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseInt(number, 10, 32)
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n < 1 || n > most || !ok {
		return fmt.Errorf("%q is no rate: write one like 500/s, 600/m or 1000/h, up to %d", Clip(string(text)), most)
	}
	*r = Rate{Count: Count(n), Per: Duration(per)}
	return nil
}

// UnmarshalText reads two positive numbers, the smaller first.
func (r *Range) UnmarshalText(text []byte) error {
	low, high, _ := strings.Cut(string(text), "..")
	minimum, err1 := wholeNumber(low, 16)
	maximum, err2 := wholeNumber(high, 16)
	if err1 != nil || err2 != nil || minimum < 1 || maximum < minimum {
		return fmt.Errorf("%q is no range: write two numbers like 32..100", Clip(string(text)))
	}
	*r = Range{Min: int(minimum), Max: int(maximum)}
	return nil
}

// add reads an address or a network and adds it.
func (n *Networks) add(text string) error {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		var address netip.Addr
		address, err = netip.ParseAddr(text)
		network = netip.PrefixFrom(address, address.BitLen())
	}
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network: write one like 127.0.0.1 or 10.0.0.0/8", Clip(text))
	}
	*n = append(*n, network.Masked())
	return nil
}

func (l *Strings) add(text string) error {
	*l = append(*l, text)
	return nil
}

// UnmarshalText reads an address without an environment.
func (a *Address) UnmarshalText(text []byte) error {
	a.Address = string(text)
	return nil
}

// UnmarshalText reads 64 hexadecimal digits with or without colons, or the whole line that
// openssl prints. It accepts an empty text: validate decides about that.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	digits, n := fingerprint(string(text))
	switch n {
	case 0, sha256.Size:
		*f = Fingerprint(digits)
		return nil
	case sha1.Size:
		return fmt.Errorf("%q is a SHA-1 fingerprint: print the other one with openssl x509 -noout -fingerprint "+
			"-sha256", Clip(digits))
	}
	return fmt.Errorf("%q is no SHA-256 fingerprint: give 64 hexadecimal digits, as openssl x509 -noout "+
		"-fingerprint -sha256 prints them", Clip(string(text)))
}

// UnmarshalText reads what Fingerprint's does, and also base64, in which key pins of the web
// are written.
func (f *KeyFingerprint) UnmarshalText(text []byte) error {
	digits, n := fingerprint(string(text))
	if sum, err := base64.StdEncoding.DecodeString(digits); err == nil && len(sum) == sha256.Size {
		digits, n = hex.EncodeToString(sum), sha256.Size
	}
	if n != 0 && n != sha256.Size {
		return fmt.Errorf("%q is no SHA-256 fingerprint of a key: give 64 hexadecimal digits, as openssl x509 -noout "+
			"-pubkey -in FILE | openssl pkey -pubin -outform DER | openssl dgst -sha256 prints them", Clip(string(text)))
	}
	*f = KeyFingerprint(digits)
	return nil
}

// fingerprint removes what openssl prints before and between the digits. size is the number of
// bytes that the digits are, -1 if they are not hexadecimal.
func fingerprint(s string) (digits string, size int) {
	if label, rest, ok := strings.Cut(s, "= "); ok && strings.Contains(label, "(") { // of openssl dgst
		s = rest
	}
	if label, rest, ok := strings.Cut(s, "="); ok && strings.HasSuffix(strings.ToLower(strings.TrimSpace(label)),
		"fingerprint") {
		s = rest
	}
	s = strings.NewReplacer(":", "", " ", "").Replace(strings.TrimSpace(s))
	sum, err := hex.DecodeString(s)
	if err != nil {
		return s, -1
	}
	return s, len(sum)
}
