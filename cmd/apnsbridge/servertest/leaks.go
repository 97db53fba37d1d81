package servertest

import (
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// telltales match what no log line may contain, whatever it is about.
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

// leaks returns what the lines of a log give away: a whole device token of tokens (in
// hexadecimal digits), in whatever encoding, one of secrets, or what looks like either.
func leaks(log string, tokens, secrets []string) (found []string) {
	known := make(map[string]bool)
	for _, token := range tokens {
		known[string(Unhex(token)[:32])] = true
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
			if !fingerprint || known[string(Unhex(m[2]))] {
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
	hexRun    = regexp.MustCompile(`("sha256":")?([0-9a-fA-F]{64,})`) // this field has the SHA-256 of a certificate
	base64Run = regexp.MustCompile(`[\w+/-]{43,}`)
)

// hasToken reports whether run is base64, of either alphabet, in which the 32 bytes of a
// known token occur, perhaps in the middle of something longer.
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

// Search fails the test if a log of the world's gateway gives something away.
func (w *World) Search(log string) {
	w.T.Helper()
	for i, leak := range leaks(log, w.tokens(), w.secrets()) {
		if i == 3 {
			w.T.Error("the log gives away even more")
			break
		}
		w.T.Errorf("the log gives away %s", leak)
	}
}

// tokens returns the tokens of all devices that were pushed to.
func (w *World) tokens() (tokens []string) {
	for _, p := range w.Sim.Received(0).Pushes {
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

// secrets returns the secrets in the files beside the configuration: the lines of private
// keys, passwords, and the token of the admin port.
func (w *World) secrets() (secrets []string) {
	w.T.Helper()
	err := filepath.WalkDir(w.Dir, func(path string, entry fs.DirEntry, err error) error {
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
			if secret, err := os.ReadFile(w.Path(string(m[1]))); err == nil {
				secrets = append(secrets, strings.TrimSpace(string(secret)))
			}
		}
		return nil
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return secrets
}
