package smallfile_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/smallfile"

	"software.sslmate.com/src/go-pkcs12"
)

// foreignToOperators matches words of Go's libraries that openssl does not use.
var foreignToOperators = regexp.MustCompile(`tls: |x509: |asn1|PEM inputs`)

// A certificate and its key are accepted as editors leave them, in any order; any other file's error says what it is.
func TestPairs(t *testing.T) {
	dir := t.TempDir()
	cert, key := servertest.PKI().Server.CertPEM, servertest.PKI().Server.KeyPEM
	ca, other := servertest.PKI().CA.CertPEM, servertest.PKI().Client
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	der := func(text []byte) []byte { block, _ := pem.Decode(text); return block.Bytes }
	mark := func(text []byte) []byte {
		return append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...)
	}
	wide := func(text []byte) (b []byte) {
		for _, unit := range utf16.Encode([]rune("\ufeff" + string(text))) {
			b = append(b, byte(unit), byte(unit>>8))
		}
		return b
	}
	pair, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern2023.Encode(pair.PrivateKey, servertest.PKI().Server.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0}})
	for _, tt := range []struct {
		name             string
		certificate, key []byte
		want             string
	}{
		{"as they are", cert, key, ""},
		{"a chain", join(cert, ca), key, ""},
		{"a chain from its end", join(ca, cert), key, ""},
		{"between others", join(other.CertPEM, cert, ca), key, ""},
		{"marks and CRLF", mark(cert), mark(key), ""},
		{"both in one", join(key, cert, ca), join(key, cert, ca), ""},
		{"UTF-16", wide(cert), key, "the certificate's file is saved as UTF-16"},
		{"a key in UTF-16", cert, wide(key), "the key's file is saved as UTF-16"},
		{"DER", der(cert), key, "the certificate's file is a certificate in DER: convert it with openssl x509"},
		{"a key in DER", cert, der(key), "the key's file is a key in DER: convert it with openssl pkey"},
		{".p12", p12, p12, "a .p12, or another that is not PEM: convert it with openssl pkcs12"},
		{"exchanged", key, cert, "the two names are exchanged"},
		{"two keys", key, key, "the certificate's file has no certificate"},
		{"two certificates", cert, cert, "the key's file has no private key"},
		{"another's key", cert, other.KeyPEM, "the key is not the certificate's"},
		{"another's key of a chain", join(cert, ca), other.KeyPEM, "the key is not the certificate's"},
		{"an encrypted key", cert, encrypted, "the key is encrypted: decrypt it with openssl pkey"},
		{"a cut certificate", cert[:len(cert)/2], key, "the certificate's file is cut"},
		{"a cut key", cert, key[:len(key)/2], "the key's file is cut"},
		{"a spoilt key", cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
			"the key cannot be read"},
		{"a spoilt certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), key,
			"they cannot be read"},
		{"nothing", []byte("\n"), key, "the certificate's file is empty"},
		{"a text", []byte("hello"), key, "the certificate's file is not PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			certificate, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
			for path, text := range map[string][]byte{certificate: tt.certificate, key: tt.key} {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			pair, err := smallfile.Pair(certificate, key)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.want == "" && !bytes.Equal(pair.Certificate[0], der(cert)):
				t.Error("the first certificate is not the one that belongs to the key")
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) ||
				foreignToOperators.MatchString(err.Error())):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
