package main

import (
	"bytes"
	"encoding/asn1"
	"os"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

// check runs check over a changed configuration, and the reload of a gateway.
func (w *world) refusal(old, with string) string {
	w.t.Helper()
	w.amend(old, with)
	defer w.amend(with, old)
	_, stdout, stderr := w.apnsbridge("", "check", "--config", w.path("apnsbridge.yaml"))
	w.log.Reset()
	w.service.hangup()
	return stdout + stderr + w.log.String()
}

// Whatever is wrong with a setting, nothing says its secret.
func TestSecretsAreNotShown(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	key, err := os.ReadFile(w.path("AuthKey_DEVELOPER.p8"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("P8", string(key))
	t.Setenv("P8_LINE", strings.ReplaceAll(string(key), "\n", ""))
	t.Setenv("P8_BASE64", strings.Join(strings.Split(string(key), "\n")[1:4], ""))
	secrets := []string{"topsecret", strings.Split(string(key), "\n")[1][:30]}
	const endpoint, appKey = "    endpoint_ca: ca.pem", "key: AuthKey_DEVELOPER.p8"
	for _, tt := range []struct{ name, old, with string }{
		{"a proxy's scheme", endpoint, `    proxy: "socks5://bob:topsecret@proxy:1080"` + "\n" + endpoint},
		{"a proxy without a scheme", endpoint, `    proxy: "bob:topsecret@proxy:3128"` + "\n" + endpoint},
		{"a proxy with a blank", endpoint, `    proxy: "http://bob:topsecret password@proxy:3128"` + "\n" + endpoint},
		{"a proxy's port", endpoint, `    proxy: "http://bob:topsecret@proxy:x"` + "\n" + endpoint},
		{"an @ in the password", endpoint, `    proxy: "ftp://bob:top@topsecret@proxy"` + "\n" + endpoint},
		{"an endpoint_ca", endpoint, `    endpoint_ca: "${P8}"`},
		{"an endpoint_ca in a line", endpoint, `    endpoint_ca: "${P8_BASE64}"`},
		{"a server's key", "key: server-key.pem", `key: "${P8}"`},
		{"a server's key in a line", "key: server-key.pem", `key: "${P8_BASE64}"`},
		{"a key that is broken", appKey, `key: "${P8_LINE}"`},
		{"a key without its ends", appKey, `key: "${P8_BASE64}"`},
		{"a fingerprint", "      - {ca:", "      - {cidr: \"${P8}\"}\n      - {ca:"},
		{"a choice", endpoint, "    environment: \"${P8}\"\n" + endpoint},
		{"a number", "apps:", "limits: {window: \"${P8}\"}\napps:"},
		{"an admin token in a list", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: [topsecrettopsecret]}`},
		{"a token that is short", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: topsecret}`},
		{"a token file", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token_file: "${P8}"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := w.refusal(tt.old, tt.with)
			if !strings.Contains(said, "reload refused") {
				t.Errorf("it is taken: %s", said)
			}
			for _, secret := range secrets {
				if strings.Contains(said, secret) {
					t.Errorf("%q is shown: %s", secret, said)
				}
			}
		})
	}
}

// A container's variable has the text of the key, also in one line.
func TestKeyText(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	key, err := os.ReadFile(w.path("AuthKey_DEVELOPER.p8"))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{string(key), strings.ReplaceAll(string(key), "\n", `\n`)} {
		t.Setenv("P8", text)
		w.reconfigure("key: AuthKey_DEVELOPER.p8", `key: "${P8}"`)
		w.start()
		w.send(i, w.dial(w.clientTLS()))
		w.reconfigure(`key: "${P8}"`, "key: AuthKey_DEVELOPER.p8")
	}
}

// A file with secrets in it that others may read is named, one with variables not.
func TestReadableConfiguration(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	path := w.path("apnsbridge.yaml")
	t.Setenv("TOKEN", adminToken)
	for _, tt := range []struct {
		token string
		mode  os.FileMode
		warns bool
	}{{adminToken, 0o644, true}, {adminToken, 0o640, true}, {adminToken, 0o600, false}, {"${TOKEN}", 0o644, false}} {
		with := `admin: {listen: "127.0.0.1:0", token: "` + tt.token + `"}`
		w.amend(`admin: {listen: "127.0.0.1:0"}`, with)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr := w.apnsbridge("", "check", "--config", path)
		if got := strings.Contains(stdout, "admin.token is secret, and others than its owner may read "+path); got != tt.warns {
			t.Errorf("token %s with mode %o: got %s%s", tt.token, tt.mode, stdout, stderr)
		}
		w.amend(with, `admin: {listen: "127.0.0.1:0"}`)
	}
}

// hostileP12 is a .p12 file of which one of the iterations is huge.
func hostileP12(t *testing.T, encoder *pkcs12.Encoder, place int) []byte {
	t.Helper()
	const marked = 70_001
	pair := issue(t, pki(), devpki.ClientOptions{Topic: demoTopic})
	file, err := encoder.WithIterations(marked).Encode(pair.PrivateKey, pair.Leaf, nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	old, _ := asn1.Marshal(marked)
	huge, _ := asn1.Marshal(1<<23 - 1) // as long
	at := 0
	for range place {
		at += bytes.Index(file[at:], old) + 1
	}
	i := bytes.Index(file[at:], old)
	if i < 0 {
		t.Skip("there are not as many")
	}
	copy(file[at+i:], huge)
	return file
}

// Iterations without end are refused before the first of them, and those of
// ordinary files done.
func TestHostileP12(t *testing.T) {
	for name, encoder := range map[string]*pkcs12.Encoder{"legacy": pkcs12.LegacyDES, "modern": pkcs12.Modern2023} {
		for place := range 3 {
			begin := time.Now()
			_, err := openCertificate(hostileP12(t, encoder, place), "x")
			if err == nil || !strings.Contains(err.Error(), "more than 2000000 iterations") {
				t.Errorf("%s, %d: got error %v", name, place, err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s, %d: took %v", name, place, took)
			}
		}
		pair := issue(t, pki(), devpki.ClientOptions{Topic: demoTopic})
		file, err := encoder.Encode(pair.PrivateKey, pair.Leaf, nil, "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openCertificate(file, "x"); err != nil {
			t.Errorf("%s: an ordinary file: %v", name, err)
		}
	}
}

func FuzzIterations(f *testing.F) {
	f.Add([]byte{0x30, 0x80})
	f.Add(bytes.Repeat([]byte{0x30, 0x82, 0x10, 0x00}, 1000))
	f.Fuzz(func(t *testing.T, der []byte) { checkIterations(der) })
}
