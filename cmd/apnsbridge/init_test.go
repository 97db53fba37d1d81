package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// init writes nothing that check would refuse, neither a configuration nor a CA, so that one can just answer again.
func TestInitWritesNothingThatCheckRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := servertest.PKI().Write("apple"); err != nil {
		t.Fatal(err)
	}
	both := append(bytes.Clone(servertest.PKI().Client.CertPEM), servertest.PKI().Client.KeyPEM...)
	if err := os.WriteFile("apple/push.pem", both, 0o600); err != nil {
		t.Fatal(err)
	}
	p8 := []string{"--topic", "com.example.mail", "--key", "apple/AuthKey_DEVELOPER.p8", "--key-id", "ABC123DEFG",
		"--team-id", "DEF123GHIJ"}
	certificate := []string{"--certificate", "apple/push.pem"}
	for _, tt := range []struct {
		name string
		base []string
		args []string
		says string
	}{
		{"a topic with a blank", p8, []string{"--topic", "a b"}, "has characters that no topic has"},
		{"another topic", certificate, []string{"--topic", "com.example.mail"}, "and the app's topic is com.example.mail"},
		{"no such key", p8, []string{"--key", "gone.p8"}, "put the file there, or correct its name"},
		{"a certificate for a key", p8, []string{"--key", "apple/server.pem"}, "a token wants the key"},
		{"no app", p8, []string{"--app", ""}, "an app has no name"},
		{"an app of two lines", p8, []string{"--app", "a\nb"}, "an app's name has"},
		{"a variable for an app", p8, []string{"--app", "${APP}"}, "cannot be a key"},
		{"a long app", p8, []string{"--app", strings.Repeat("x", 101)}, "an app's name has"},
		{"no network", p8, []string{"--cidr", "10.0.0"}, "is no network"},
		{"no such pin", p8, []string{"--pin", "gone.pem"}, "--pin: "},
		{"a key for a pin", p8, []string{"--pin", "apple/client-key.pem"}, "has no certificate"},
		{"an endpoint without a scheme", p8, []string{"--endpoint", "127.0.0.1:2197"}, "write one that begins with https://"},
		{"no such authority", p8, []string{"--endpoint", "https://127.0.0.1:2197", "--endpoint-ca", "gone.pem"},
			"--endpoint-ca: "},
		{"an address for a host", p8, []string{"--host", "https://push.example.com"}, "--host"},
		{"no variable", certificate, []string{"--password-env", "APNSBRIDGE_TEST_NONE"}, "APNSBRIDGE_TEST_NONE is not set"},
		{"a device", nil, []string{"--certificate", "/dev/zero"}, "is longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(append(append([]string{"init", "--config", "new.yaml"}, tt.base...), tt.args...),
				streams{in: strings.NewReader(""), out: &out, err: &out})
			if code == servertest.OK || !strings.Contains(out.String(), tt.says) {
				t.Errorf("exit code %d, want %q:\n%s", code, tt.says, out.String())
			}
			for _, name := range []string{"new.yaml", "pki"} {
				if _, err := os.Stat(name); err == nil {
					t.Fatalf("%s was written", name)
				}
			}
		})
	}
}

// A certificate gets only host names that a provider can connect to.
func TestHosts(t *testing.T) {
	for _, host := range []string{"push.example.com", "localhost", "10.1.2.3", "::1", "*.example.com", "xn--bcher-kva.de",
		"my_host", "2x"} {
		if err := checkHosts([]string{host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for host, want := range map[string]string{
		"": "neither", "a b": "neither", "https://x": "neither", "x:2195": "neither", "-x": "neither", "x-": "neither", ".x": "neither",
		"x..y": "neither", "a\nb": "neither", "x.": "neither", "a.*": "neither", strings.Repeat("x.", 130) + "x": "neither",
		strings.Repeat("x", 64): "neither", "bücher.de": "xn--",
	} {
		if err := checkHosts([]string{host}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", host, err, want)
		}
	}
}

// The value of a flag is never taken for a flag itself.
func TestShellFlags(t *testing.T) {
	for value, want := range map[string]string{"mail": "--app mail", "my mail": "--app 'my mail'", "-x": "--app=-x",
		"--help": "--app=--help",
		"- x":    "--app='- x'", "": "--app=''"} {
		if got := quoting.ShellFlag("--app", value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
