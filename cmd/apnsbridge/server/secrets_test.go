package server

import (
	"os"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// refusal runs check and a reload with a changed configuration, and returns what they say.
func (w *world) refusal(old, with string) string {
	w.T.Helper()
	w.Amend(old, with)
	defer w.Amend(with, old)
	_, stdout, stderr := w.check(CheckOptions{})
	w.Log.Reset()
	w.service.hangup()
	return stdout + stderr + w.Log.String()
}

// Whatever is wrong with a setting, no message shows its secret.
func TestSecretsAreNotShown(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	key, err := os.ReadFile(w.Path("AuthKey_DEVELOPER.p8"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("P8", string(key))
	lines := strings.Split(string(key), "\n")
	base64 := strings.Join(lines[1:4], "")
	t.Setenv("P8_CUT", strings.Join(lines[:3], "\n"))
	t.Setenv("P8_BASE64", base64)
	t.Setenv("P8_BASE64_CUT", base64[:len(base64)-8])
	secrets := []string{"topsecret", lines[1][:30]}
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
		{"a key that is broken", appKey, `key: "${P8_CUT}"`},
		{"a key without its ends", appKey, `key: "${P8_BASE64_CUT}"`},
		{"a fingerprint", "      - {ca:", "      - {cidr: \"${P8}\"}\n      - {ca:"},
		{"a choice", endpoint, "    environment: \"${P8}\"\n" + endpoint},
		{"a number", "apps:", "limits: {window: \"${P8}\"}\napps:"},
		{"an admin token in a list", `admin: {listen: "127.0.0.1:0"}`,
			`admin: {listen: "127.0.0.1:0", token: [topsecrettopsecret]}`},
		{"a token that is short", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: topsecret}`},
		{"a token file", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token_file: "${P8}"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := w.refusal(tt.old, tt.with)
			if !strings.Contains(said, "reload refused") {
				t.Errorf("the reload was not refused: %s", said)
			}
			for _, secret := range secrets {
				if strings.Contains(said, secret) {
					t.Errorf("%q is shown: %s", secret, said)
				}
			}
		})
	}
}

// A container's variable has the text of the key, perhaps on one line, or without the lines
// BEGIN and END.
func TestKeyText(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	key, err := os.ReadFile(w.Path("AuthKey_DEVELOPER.p8"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(key), "\n")
	for i, text := range []string{
		string(key), strings.ReplaceAll(string(key), "\n", `\n`), strings.Join(lines, ""), strings.Join(lines[1:4], ""),
	} {
		t.Setenv("P8", text)
		w.Reconfigure("key: AuthKey_DEVELOPER.p8", `key: "${P8}"`)
		w.Start()
		conn := w.Dial(w.ClientTLS())
		w.Send(i, conn)
		conn.Close() // or the gateway would wait for the provider
		w.Reconfigure(`key: "${P8}"`, "key: AuthKey_DEVELOPER.p8")
	}
}

// A file that contains secrets and that others may read gets a warning; one with variables does not.
func TestReadableConfiguration(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	path := w.Path("apnsbridge.yaml")
	t.Setenv("TOKEN", adminToken)
	for _, tt := range []struct {
		token string
		mode  os.FileMode
		warns bool
	}{{adminToken, 0o644, true}, {adminToken, 0o640, true}, {adminToken, 0o600, false}, {"${TOKEN}", 0o644, false}} {
		with := `admin: {listen: "127.0.0.1:0", token: "` + tt.token + `"}`
		w.Amend(`admin: {listen: "127.0.0.1:0"}`, with)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr := w.check(CheckOptions{})
		if got := strings.Contains(stdout, "admin.token is secret, and others than its owner may read "+
			""+path); got != tt.warns {
			t.Errorf("token %s with mode %o: got %s%s", tt.token, tt.mode, stdout, stderr)
		}
		w.Amend(with, `admin: {listen: "127.0.0.1:0"}`)
	}
}
