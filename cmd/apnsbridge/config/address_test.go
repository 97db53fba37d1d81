package config

import (
	"fmt"
	"strings"
	"testing"
)

// The error about an address names the part that is wrong, and never shows the password.
func TestAddresses(t *testing.T) {
	const (
		scheme   = "write one that begins with http:// or https://"
		password = "has a user or a password that ends too early: write its / as %2F"
		host     = "correct host and port"
		blank    = "remove it"
		fine     = ""
	)
	for _, tt := range []struct{ proxy, want string }{
		{"http://proxy:3128", fine}, {"HTTPS://u:hunter2@proxy", fine}, {"http://[::1]:3128", fine},
		{"http://u:hun%2Fter2@proxy:3128", fine}, {"http://u@v:hunter2@proxy:3128", fine},
		{"proxy:3128", scheme}, {"socks5://u:hunter2@proxy:1080", scheme}, {"u:hunter2@proxy:3128", scheme},
		{"http:/proxy", scheme}, {"http//proxy", scheme}, {"http://", scheme},
		{"http://u:hun/ter2@proxy:3128", password}, {"http://u:hun#ter2@proxy:3128", password},
		{"http://u:hun?ter2@proxy:3128", password}, {"http://u:hun%ter2@proxy:3128", password},
		{"http://u:hun ter2@proxy:3128", password}, {"http://hunter2#x@proxy:3128", password},
		{"http://hunter2/x@proxy:3128", password},
		{"http://::1:3128", host}, {"http://[::1", host}, {"http://proxy:port", host}, {"http://pro xy", host},
		{"http://:3128@", password}, {"http://%zz:3128", host}, {"http:///x", host},
		{" http://proxy:3128", blank}, {"http://proxy:3128 ", blank},
		{"http://proxy:70000", "choose one from 1 to 65535"}, {"http://u:hunter2@proxy:0", "choose one from 1 to 65535"},
		{"http://u:hunter2@proxy/x", "take away what stands behind the port"},
	} {
		text := strings.Replace(minimal, "com.example.mail", fmt.Sprintf("com.example.mail\n    proxy: %q", tt.proxy), 1)
		_, err := parse("f", []byte(text), environment)
		if err == nil && tt.want == fine {
			continue
		}
		if err == nil || tt.want == fine || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", tt.proxy, err, tt.want)
		}
	}
}

// Both kinds of pin are accepted as their tools print them, and the remedy for a wrong one is the right command.
func TestFingerprints(t *testing.T) {
	digits := strings.Repeat("0f", 32)
	colons := strings.TrimSuffix(strings.Repeat("0F:", 32), ":")
	for _, tt := range []struct{ key, value, want string }{
		{"sha256", digits, ""}, {"sha256", "sha256 Fingerprint=" + colons, ""}, {"spki_sha256", digits, ""},
		{"spki_sha256", "SHA2-256(stdin)= " + digits, ""}, {"spki_sha256", "(stdin)= " + digits, ""},
		{"spki_sha256", strings.Repeat("Dw8P", 10) + "Dw8=", ""},
		{"sha256", digits[:40], "print the other one with openssl x509 -noout -fingerprint -sha256"},
		{"sha256", "abc", "as openssl x509 -noout -fingerprint -sha256 prints them"},
		{"sha256", "client.pem", "as openssl x509 -noout -fingerprint -sha256 prints them"},
		{"spki_sha256", "abc", "openssl dgst -sha256 prints them"},
		{"spki_sha256", digits[:40], "openssl dgst -sha256 prints them"},
	} {
		text := strings.Replace(minimal, "cidr: 10.1.0.0/16", fmt.Sprintf("%s: %q", tt.key, tt.value), 1)
		c, err := parse("f", []byte(text), environment)
		switch {
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %s: got %v, want %q", tt.key, tt.value, err, tt.want)
		case tt.want == "" && err != nil:
			t.Errorf("%s: %s: got %v", tt.key, tt.value, err)
		case tt.want == "":
			if pin := c.Apps["mail"].Clients[0]; !strings.EqualFold(string(pin.SHA256)+string(pin.SPKISHA256), digits) {
				t.Errorf("%s: %s: got %+v", tt.key, tt.value, pin)
			}
		}
	}
}
