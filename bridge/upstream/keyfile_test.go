package upstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/gateway/devpki"
)

// asUTF16 encodes text as Notepad saves "Unicode".
func asUTF16(text []byte, order binary.AppendByteOrder) []byte {
	b := make([]byte, 0, 2+2*len(text))
	for _, unit := range append([]uint16{0xfeff}, utf16.Encode([]rune(string(text)))...) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

// edits are what editors, settings and programs do to a text.
var edits = []struct {
	name string
	edit func([]byte) []byte
}{
	{"as it is", func(b []byte) []byte { return b }},
	{"byte order mark", func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }},
	{"CRLF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }},
	{"CR", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r")) }},
	{"written out", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte(`\n`)) }},
	{"CRLF written out", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte(`\r\n`)) }},
	{"indented", func(b []byte) []byte {
		return append([]byte("  "), bytes.ReplaceAll(b, []byte("\n"), []byte("\n  "))...)
	}},
	{"trailing blanks", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte(" \n")) }},
	{"UTF-16", func(b []byte) []byte { return asUTF16(b, binary.LittleEndian) }},
	{"UTF-16, the other way round", func(b []byte) []byte { return asUTF16(b, binary.BigEndian) }},
	{"UTF-16 without a mark", func(b []byte) []byte { return asUTF16(b, binary.LittleEndian)[2:] }},
	{"UTF-16 without a mark, the other way round", func(b []byte) []byte { return asUTF16(b, binary.BigEndian)[2:] }},
	{"text around", func(b []byte) []byte {
		return bytes.Join([][]byte{[]byte("Bag Attributes\n"), b, []byte("that is all\n")}, nil)
	}},
	{"base64 of all", func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }},
}

// oneLine turns line ends into blanks.
func oneLine(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte(" ")) }

func TestKeyFilesAsEditorsLeaveThem(t *testing.T) {
	pair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	der, err := pkcs8.MarshalPrivateKey(key, []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := pemBlock("ENCRYPTED PRIVATE KEY", der, err)
	old := encryptedPEM(t, key.(*rsa.PrivateKey), "secret")
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	contents := map[string][]byte{
		"certificate, key":           join(pair.CertPEM, pair.KeyPEM),
		"key, certificate":           join(pair.KeyPEM, pair.CertPEM),
		"chain, key, certificate":    join(pki().CA.CertPEM, pair.KeyPEM, pair.CertPEM),
		"certificate, encrypted key": join(pair.CertPEM, encrypted),
		"encrypted key, certificate": join(encrypted, pair.CertPEM),
		"old encrypted key":          join(old, pair.CertPEM),
	}
	for content, file := range contents {
		for _, e := range edits {
			t.Run(content+", "+e.name, func(t *testing.T) {
				c, err := certificateCredential(e.edit(file), "secret")
				if err != nil {
					t.Fatal(err)
				}
				if got := c.Describe().Topic; got != topic {
					t.Errorf("got the topic %s", got)
				}
			})
		}
	}
	for _, e := range append(edits, struct {
		name string
		edit func([]byte) []byte
	}{"in one line", oneLine}) {
		if _, err := NewTokenCredential(e.edit(pki().TokenKey), "KEY", "TEAM"); err != nil {
			t.Errorf(".p8, %s: %v", e.name, err)
		}
	}
	if _, err := certificateCredential(oneLine(join(pair.CertPEM, encrypted)), "secret"); err != nil {
		t.Errorf("in one line: %v", err)
	}
	p12, err := pkcs12.Legacy.Encode(key, pair.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(".{64}").ReplaceAll([]byte(base64.StdEncoding.EncodeToString(p12)), []byte("$0\r\n"))
	if _, err := certificateCredential(lines, "secret"); err != nil {
		t.Errorf("base64 of a .p12: %v", err)
	}
	block, _ := pem.Decode(pki().TokenKey)
	if _, err := NewTokenCredential(block.Bytes, "KEY", "TEAM"); err != nil {
		t.Errorf("DER of a .p8: %v", err)
	}
	p8, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	short, err := x509.MarshalECPrivateKey(p8.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTokenCredential(short, "KEY", "TEAM"); err != nil {
		t.Errorf("DER of a key in SEC 1, which is short: %v", err)
	}
}

// asAnother has an encrypted key name another algorithm of PKCS #5 (RFC 8018, appendix C). The
// arcs are the last two of the present one, and then of the other.
func asAnother(der []byte, arcs ...byte) []byte {
	pkcs := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d}
	if arcs[0] == 5 {
		pkcs = append(pkcs, 1)
	}
	der = bytes.Replace(der, append(bytes.Clone(pkcs), arcs[0], arcs[1]), append(bytes.Clone(pkcs), arcs[2], arcs[3]), 1)
	return pemBlock("ENCRYPTED PRIVATE KEY", der, nil)
}

// The error for a wrong file says what kind of file it is.
func TestKeyFilesThatAreOthers(t *testing.T) {
	pair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	encryptedDER, err := pkcs8.MarshalPrivateKey(key, []byte("secret"), nil)
	encrypted := pemBlock("ENCRYPTED PRIVATE KEY", encryptedDER, err)
	p12, err := pkcs12.Modern2023.Encode(key, pair.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{pair.Leaf}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		file     []byte
		password string
		want     string
	}{
		{".cer", pair.Leaf.Raw, "", "without its private key, as a .cer"},
		{".cer in PEM", pair.CertPEM, "", "without its private key, as a .cer"},
		{".cer in base64", []byte(base64.StdEncoding.EncodeToString(pair.Leaf.Raw)), "", "without its private key, as a .cer"},
		{".jks", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), "", "Java key store"},
		{".jceks", []byte("\xce\xce\xce\xce\x00\x00\x00\x02"), "", "Java key store"},
		{".p8", pki().TokenKey, "", "without its certificate"},
		{".csr", []byte("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"), "", "request for a certificate"},
		{".p7b", []byte("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n"), "", ".p7b"},
		{"public key", []byte("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"), "", "only PUBLIC KEY"},
		{"SSH key", []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nMAA=\n-----END OPENSSH PRIVATE KEY-----\n"), "", "SSH key"},
		{"SSH public key", []byte("ssh-rsa AAAA me@here"), "", "SSH key"},
		{".zip", []byte("PK\x03\x04abc"), "", ".zip"},
		{"web page", []byte("\n<!DOCTYPE html><html>"), "", "web page"},
		{"property list", []byte("<?xml version=\"1.0\"?><plist>"), "", "property list"},
		{"nothing", []byte(" \n"), "", "empty"},
		{"cut PEM", pair.KeyPEM[:len(pair.KeyPEM)/2], "", "is cut"},
		{"spoilt PEM", bytes.Replace(pair.KeyPEM, []byte("A"), []byte("!"), -1), "", "no key or certificate: copy it again"},
		{"text", []byte("hello"), "", "neither PEM"},
		{"broken certificate", []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), "", "cannot be read"},
		{"encrypted, no password", bytes.Join([][]byte{pair.CertPEM, encrypted}, nil), "", "the private key is encrypted: give its password"},
		{"encrypted, wrong password", bytes.Join([][]byte{pair.CertPEM, encrypted}, nil), "x", "the password does not open the private key"},
		{"encrypted as PKCS #5 v1", bytes.Join([][]byte{pair.CertPEM, asAnother(encryptedDER, 5, 13, 5, 3)}, nil), "secret",
			"encrypted in a way that is not read here"},
		{"encrypted with SHA-512", bytes.Join([][]byte{pair.CertPEM, asAnother(encryptedDER, 2, 9, 2, 11)}, nil), "secret",
			"encrypted in a way that is not read here"},
		{"rich text", append([]byte(`{\rtf1\ansi `), pki().TokenKey...), "", ".rtf"},
		{"JSON", []byte(`{"type": "service_account"}`), "", "JSON"},
		{".p12, no password", p12, "", "the .p12 file has a password"},
		{".p12 without a key", trust, "secret", "no private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := certificateCredential(tt.file, tt.password)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "asn1") {
				t.Errorf("got %v, want a sentence with %q", err, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"certificate":   {pair.CertPEM, "credential.certificate"},
		"encrypted key": {encrypted, "decrypt this one with openssl pkey"}, // there is no password to give
		".p12":          {p12, "or give the .p12 under credential.certificate"},
		"two keys":      {bytes.Repeat(pki().TokenKey, 2), "2 private keys"},
	} {
		if _, err := NewTokenCredential(tt.file, "KEY", "TEAM"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s as a token's key: got %v, want a sentence with %q", name, err, tt.want)
		}
	}
}

// keytool writes several identities into one file.
func TestSeveralIdentities(t *testing.T) {
	file, err := os.ReadFile("testdata/two-identities.p12")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"com.example.one", "com.example.two"} {
		c, err := NewCertificateCredential(file, "secret", time.Now(), func(leaf *x509.Certificate) bool {
			return topicOf(leaf.Subject) == want
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Describe().Topic; got != want {
			t.Errorf("got the certificate for %s, want %s", got, want)
		}
	}
	_, err = certificateCredential(file, "secret")
	if err == nil || !strings.Contains(err.Error(), "com.example.one") ||
		!strings.Contains(err.Error(), "com.example.two") {
		t.Errorf("got %v, want a list of both", err)
	}
}

// Of several certificates for one topic, the one that lasts longest is taken, among those that are valid now: a renewal
// that begins tomorrow may be in the same file.
func TestSeveralOfOneTopic(t *testing.T) {
	now := time.Now()
	var file []byte
	ends := make(map[string]time.Time)
	for _, of := range []struct {
		name       string
		begin, end time.Duration // in days from now
	}{{"old", -300, -10}, {"present", -30, 100}, {"shorter", -30, 50}, {"next", 1, 400}} {
		pair, _ := issue(t, devpki.ClientOptions{Topic: topic, NotBefore: now.Add(of.begin * 24 * time.Hour),
			NotAfter: now.Add(of.end * 24 * time.Hour)})
		file = bytes.Join([][]byte{file, pair.CertPEM, pair.KeyPEM}, nil)
		ends[of.name] = pair.Leaf.NotAfter
	}
	for want, at := range map[string]time.Time{"present": now, "next": now.AddDate(0, 0, 2)} {
		c, err := NewCertificateCredential(file, "", at, func(*x509.Certificate) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Describe().Expires; !got.Equal(ends[want]) {
			t.Errorf("got the certificate until %s, want the %s one, until %s", got, want, ends[want])
		}
	}
}
