package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// What no log line may have, whoever it is about.
var telltales = []struct {
	what string
	is   *regexp.Regexp
}{
	{"32 bytes in decimal", regexp.MustCompile(`(?:\d{1,3}[ ,]{1,2}){31}\d{1,3}`)},
	{"a private key", regexp.MustCompile(`BEGIN [A-Z ]*PRIVATE KEY`)},
	{"a JWT", regexp.MustCompile(`eyJ[\w-]{8,}\.`)},
	{"an Authorization header", regexp.MustCompile(`(?i)bearer [\w.-]{8,}`)},
	{"a payload", regexp.MustCompile(`\\?"aps\\?"`)},
}

// leaks says what lines of a log give away: a whole device token of tokens (in
// hexadecimal digits) however it is written, one of secrets, or what looks like
// either.
func leaks(log string, tokens, secrets []string) (found []string) {
	known := make(map[string]bool)
	for _, token := range tokens {
		known[string(unhex(token)[:32])] = true
	}
	for line := range strings.Lines(log) {
		note := func(what string) { found = append(found, what+" in "+line) }
		for _, t := range telltales {
			if t.is.MatchString(line) {
				note(t.what)
			}
		}
		for _, m := range hexRun.FindAllStringSubmatch(line, -1) {
			fingerprint := m[1] != "" && len(m[2]) == 64
			if !fingerprint || known[string(unhex(m[2]))] {
				note("64 hexadecimal digits")
			}
		}
		for _, run := range base64Run.FindAllString(line, -1) {
			if hasToken(run, known) {
				note("a device token in base64")
			}
		}
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				note("a secret")
				break
			}
		}
	}
	return found
}

var (
	hexRun    = regexp.MustCompile(`("client":"|"sha256":")?([0-9a-fA-F]{64,})`) // in these fields stands a certificate's SHA-256
	base64Run = regexp.MustCompile(`[\w+/-]{43,}`)
)

// hasToken says whether one of the known tokens' 32 bytes are anywhere in base64
// of either alphabet: the token may stand in the middle of something longer.
func hasToken(run string, known map[string]bool) bool {
	run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
	for start := range 4 {
		b, _ := base64.RawStdEncoding.DecodeString(run[start:])
		for i := range max(0, len(b)-31) {
			if known[string(b[i:i+32])] {
				return true
			}
		}
	}
	return false
}

// search fails the test if a log of the world's gateway gives something away.
func (w *world) search(log string) {
	w.t.Helper()
	for i, leak := range leaks(log, w.tokens(), w.secrets()) {
		if i == 3 {
			w.t.Error("and more")
			break
		}
		w.t.Errorf("the log gives away %s", leak)
	}
}

// tokens are those of the devices that APNs was asked about.
func (w *world) tokens() (tokens []string) {
	for _, p := range w.sim.Received(0).Pushes {
		if len(p.Token) >= 64 {
			tokens = append(tokens, p.Token)
		}
	}
	return tokens
}

var (
	passwords = regexp.MustCompile(`(?:password|\btoken): *"?(\$\{\w+\}|[^"{}, \n]+)`)
	tokenFile = regexp.MustCompile(`token_file: *"?([^"{}, \n]+)`)
)

// secrets are what stands in the files beside the configuration: the lines of
// private keys, passwords, and the token of the admin port.
func (w *world) secrets() (secrets []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/data/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
				continue
			}
			for line := range strings.Lines(string(pem.EncodeToMemory(block))) {
				if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
					secrets = append(secrets, line)
				}
			}
		}
		if filepath.Ext(path) != ".yaml" {
			return nil
		}
		for _, m := range passwords.FindAllSubmatch(text, -1) {
			if secret := os.ExpandEnv(string(m[1])); len(secret) >= 6 {
				secrets = append(secrets, secret)
			}
		}
		for _, m := range tokenFile.FindAllSubmatch(text, -1) {
			if secret, err := os.ReadFile(w.path(string(m[1]))); err == nil {
				secrets = append(secrets, strings.TrimSpace(string(secret)))
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return secrets
}

// What gives something away is found, and what does not is not.
func TestLeaks(t *testing.T) {
	t.Setenv("PUSH_PASSWORD", "open sesame")
	w := newWorld(t, apnssim.Scenario{})
	w.send(0, w.dial(w.clientTLS()))
	device := token("21", 0)
	raw := unhex(device)
	w.write("admin-token", []byte(adminToken+"\n"))
	w.write("other.yaml", []byte("password: \"${PUSH_PASSWORD}\"\nadmin: {token_file: admin-token}\n"))
	key := strings.Split(string(pki().TokenKey), "\n")[1]
	rsaKey := strings.Split(string(pki().Server.KeyPEM), "\n")[5]
	for _, tt := range []struct {
		name, says string
		want       string // "" for nothing
	}{
		{"nothing", "serving", ""},
		{"a token", "token " + device, "64 hexadecimal digits"},
		{"one in capitals", "token " + strings.ToUpper(device), "64 hexadecimal digits"},
		{"one that nobody knows", token("ffff", 7), "64 hexadecimal digits"},
		{"the beginning of one", device[:16] + "…", ""},
		{"one in base64", base64.StdEncoding.EncodeToString(raw), "base64"},
		{"one in base64 for addresses", base64.RawURLEncoding.EncodeToString(raw), "base64"},
		{"a frame in base64", base64.StdEncoding.EncodeToString(append([]byte{0, 0, 32}, raw...)), "base64"},
		{"a longer frame in base64", base64.StdEncoding.EncodeToString(append([]byte{1, 0, 0, 0, 1}, raw...)), "base64"},
		{"something else in base64", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 60))), ""},
		{"one as Go prints bytes", fmt.Sprint(raw), "in decimal"},
		{"one as JSON has an array", strings.ReplaceAll(fmt.Sprint(raw), " ", ","), "in decimal"},
		{"a client", `","client":"` + fingerprint(pki().Client.Leaf.Raw), ""},
		{"a token for a client", `","client":"` + device, "64 hexadecimal digits"},
		{"a token and a half", `","client":"` + device + device[:32], "64 hexadecimal digits"},
		{"a fingerprint", strings.TrimSuffix(strings.Repeat("ab:", 32), ":"), ""},
		{"a line of a .p8", key, "a secret"},
		{"a line of a key in the middle of something", "x" + rsaKey + "x", "a secret"},
		{"a key's frame", "-----BEGIN EC PRIVATE KEY-----", "a private key"},
		{"a password", `cannot read push.p12 with "open sesame"`, "a secret"},
		{"the admin token", "got " + adminToken, "a secret"},
		{"a JWT", "authorization eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJYIn0.c2ln", "a JWT"},
		{"an Authorization header", "Authorization: Bearer abcdefgh", "an Authorization header"},
		{"a payload", `{"aps":{"alert":"x"}}`, "a payload"},
		{"a payload in JSON", `{\"aps\":{\"alert\":\"x\"}}`, "a payload"},
		{"a path", w.path("AuthKey_DEVELOPER.p8"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := leaks(w.log.whole()+`{"level":"info","message":"`+tt.says+"\"}\n", w.tokens(), w.secrets())
			if tt.want == "" {
				if len(got) > 0 {
					t.Errorf("got %q, want nothing", got)
				}
			} else if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want %q once", got, tt.want)
			}
		})
	}
	if !slices.Contains(w.tokens(), device) {
		t.Error("the world does not know its own tokens")
	}
}
