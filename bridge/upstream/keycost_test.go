package upstream

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/gateway/devpki"
)

// marked is a number that is easily found in the files of these tests.
const marked = 70_001

// hugely replaces an occurrence of number, which takes three bytes as marked does, with a huge
// number. It skips the first place occurrences, and reports false if there is no other.
func hugely(der []byte, number, place int) bool {
	old, _ := asn1.Marshal(number)
	huge, _ := asn1.Marshal(1<<23 - 1) // as long
	for range place {
		at := bytes.Index(der, old)
		if at < 0 {
			return false
		}
		der = der[at+1:]
	}
	at := bytes.Index(der, old)
	if at < 0 {
		return false
	}
	copy(der[at:], huge)
	return true
}

// refusedUnopened checks that a file is refused before its key is derived, as it is and in
// base64.
func refusedUnopened(t *testing.T, name string, file []byte, want string) {
	t.Helper()
	begin := time.Now()
	for _, wrapped := range [][]byte{file, []byte(base64.StdEncoding.EncodeToString(file))} {
		if _, err := certificateCredential(wrapped, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v", name, err)
		}
		if _, err := NewTokenCredential(wrapped, "ABC123DEFG", "DEF123GHIJ"); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s, as a token's: got error %v", name, err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second { // next to nothing, on an idle machine
		t.Errorf("%s: took %v", name, took)
	}
}

// A file with a huge number of iterations is refused before the first of them, and an ordinary
// file is opened.
func TestHostileP12(t *testing.T) {
	pair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.ECDSA})
	for name, encoder := range map[string]*pkcs12.Encoder{"legacy": pkcs12.LegacyDES, "modern": pkcs12.Modern2023} {
		for place := range 3 {
			file, err := encoder.WithIterations(marked).Encode(key, pair.Leaf, nil, "x")
			if err != nil {
				t.Fatal(err)
			}
			if hugely(file, marked, place) {
				refusedUnopened(t, name, file, "more than 2000000 iterations")
			} else if place == 0 {
				t.Errorf("%s: no iterations to change", name)
			}
		}
		file, err := encoder.Encode(key, pair.Leaf, nil, "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificateCredential(file, "x"); err != nil {
			t.Errorf("%s: an ordinary file: %v", name, err)
		}
	}
}

// TestHostilePKCS8 is TestHostileP12 for the other container that has a password.
func TestHostilePKCS8(t *testing.T) {
	pair, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.ECDSA})
	for name, tt := range map[string]struct {
		kdf  pkcs8.KDFOpts
		huge int // the number that becomes huge once the file is made, as making it costs as much as opening; 0: none
		want string
	}{
		"PBKDF2": {pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: marked,
			HMACHash: pkcs8.DefaultOpts.KDFOpts.(pkcs8.PBKDF2Opts).HMACHash}, marked, "more than 2000000 iterations"},
		"scrypt, N": {pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 1 << 16, BlockSize: 1,
			ParallelizationParameter: 1}, 1 << 16, "more than 128 MiB"},
		"scrypt, r": {pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 2, BlockSize: marked,
			ParallelizationParameter: 1}, marked, "more than 128 MiB"},
		"scrypt, p": {pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 2, BlockSize: 1,
			ParallelizationParameter: marked}, marked, "more than 128 MiB"},
		"scrypt, as openssl's": {pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 1 << 14, BlockSize: 8,
			ParallelizationParameter: 1}, 0, ""},
	} {
		der, err := pkcs8.MarshalPrivateKey(key, []byte("x"), &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: tt.kdf})
		if err != nil {
			t.Fatal(err)
		}
		if tt.huge > 0 && !hugely(der, tt.huge, 0) {
			t.Fatalf("%s: there is nothing to change", name)
		}
		text := append(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), pair.CertPEM...)
		if tt.want != "" {
			refusedUnopened(t, name, der, tt.want)
		}
		_, err = certificateCredential(text, "x")
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s in PEM: got error %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzCost(f *testing.F) {
	f.Add([]byte{0x30, 0x80})
	f.Add(bytes.Repeat([]byte{0x30, 0x82, 0x10, 0x00}, 1000))
	f.Fuzz(func(t *testing.T, der []byte) { checkCost(der) })
}

// The cost of opening all keys in one file is added up before the first of them is opened.
func TestHostileNumberOfKeys(t *testing.T) {
	_, key := issue(t, devpki.ClientOptions{Topic: topic, Key: devpki.ECDSA})
	der, err := pkcs8.MarshalPrivateKey(key, []byte("x"), &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.PBKDF2Opts{
		SaltSize: 8, IterationCount: marked, HMACHash: pkcs8.DefaultOpts.KDFOpts.(pkcs8.PBKDF2Opts).HMACHash}})
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
	_, err = certificateCredential(bytes.Repeat(block, mostIterationsSum/marked+1), "x")
	if want := "more than 2000000 iterations"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
