package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway/devpki"
)

const agreementBase = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
store: {path: data}
apps:
  mail:
    topic: com.example.demo
    environment: production
    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
    clients: [{ca: ca.pem, uid: com.example.demo}]
  chat:
    topic: com.example.chat
    credential: {certificate: {file: chat.pem}}
    clients: [{cidr: 10.1.0.0/16}]
`

// mistakes are what people do to a configuration: a text and what it becomes. Those
// with held stop one app and not the gateway.
var mistakes = []struct {
	name, old, with string
	held            bool
}{
	{"unknown section", "store:", "storage: {}\nstore:", false},
	{"unknown key", "environment:", "enviroment:", false},
	{"key of another section", "environment: production", "min_version: x", false},
	{"nested too deep", "    clients: [{cidr", "      clients: [{cidr", false},
	{"nested too little", "    environment: production\n", "environment: production\n", false},
	{"a tab", "    environment", "\tenvironment", false},
	{"no-break spaces", "    environment", "\u00a0   environment", false},
	{"no blank behind the colon", "topic: com.example.demo", "topic:com.example.demo", false},
	{"no colon", "topic: com.example.demo", "topic", false},
	{"a colon in a value", "topic: com.example.demo", "topic: a: b", false},
	{"the same key twice", "store: {path: data}", "store: {path: data}\nstore: {path: data}", false},
	{"the same app twice", "  chat:", "  mail:", false},
	{"a second document", "apps:", "---\napps:", false},
	{"a quote that does not end", "topic: com.example.demo", "topic: \"com.example.demo", false},
	{"a bracket that does not end", "clients: [{ca: ca.pem, uid: com.example.demo}]", "clients: [{ca: ca.pem", false},
	{"a tag", "topic: com.example.demo", "topic: !com x", false},
	{"an alias", "topic: com.example.demo", "topic: *com", false},
	{"a reserved character", "topic: com.example.demo", "topic: @com", false},
	{"null", "topic: com.example.demo", "topic: null", false},
	{"nothing", "topic: com.example.demo", "topic:", false},
	{"two lines", "topic: com.example.demo", "topic: com.example\n      .demo", false},
	{"a list for a text", "topic: com.example.demo", "topic: [a, b]", false},
	{"a section for a text", "topic: com.example.demo", "topic: {a: b}", false},
	{"a text for a section", "{token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}",
		"AuthKey_DEVELOPER.p8", false},
	{"an unset variable", "topic: com.example.demo", "topic: ${APNSBRIDGE_NOWHERE}", false},
	{"no variable", "topic: com.example.demo", "topic: ${1}", false},
	{"a pattern for a topic", "topic: com.example.demo", "topic: com.example.*", false},
	{"curly quotes", "topic: com.example.demo", "topic: “com.example.demo”", false},
	{"from_certificate", "topic: com.example.demo", "topic: from_certificate", false},
	{"no topic", "    topic: com.example.demo\n", "", false},
	{"an environment", "environment: production", "environment: prod", false},
	{"a push type", "environment: production", "push_type: alerts", false},
	{"a bad token's way", "environment: production", "on_bad_token: ignore", false},
	{"neither yes nor no", "environment: production", "strict: maybe", false},
	{"an endpoint without https", "environment: production", "endpoint: http://x", false},
	{"an endpoint with a path", "environment: production", "endpoint: https://x/3/device", false},
	{"an endpoint with a port too high", "environment: production", "endpoint: https://x:70000", false},
	{"Apple's other endpoint", "environment: production", "endpoint: https://api.sandbox.push.apple.com", false},
	{"no credential", "    credential: {certificate: {file: chat.pem}}\n", "", false},
	{"two credentials", "{certificate: {file: chat.pem}}",
		"{certificate: {file: chat.pem}, token: {key: a, key_id: b, team_id: c}}", false},
	{"no key_id", "key_id: ABC123DEFG, ", "", false},
	{"no clients", "    clients: [{cidr: 10.1.0.0/16}]\n", "", false},
	{"two ways in one client", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, ca: ca.pem}", false},
	{"uid without ca", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, uid: x}", false},
	{"a ca alone", "{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem}", false},
	{"an empty uid", "uid: com.example.demo", "uid: \"\"", false},
	{"uid and any", "uid: com.example.demo", "uid: com.example.demo, any: true", false},
	{"any without ca", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, any: true}", false},
	{"no network", "10.1.0.0/16", "10.1", false},
	{"half a fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: \"ab:cd\"}", false},
	{"a SHA-1 fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: 0123456789012345678901234567890123456789}", false},
	{"no such ca", "ca: ca.pem", "ca: gone.pem", false},
	{"a key for a ca", "ca: ca.pem", "ca: server-key.pem", false},
	{"the same network in two apps", "[{ca: ca.pem, uid: com.example.demo}]", "[{cidr: 10.0.0.0/8}]", false},
	{"no such server certificate", "certificate: server.pem", "certificate: gone.pem", false},
	{"another's server key", "key: server-key.pem", "key: client-key.pem", false},
	{"certificate and key exchanged", "certificate: server.pem, key: server-key.pem",
		"certificate: server-key.pem, key: server.pem", false},
	{"certificates besides", "tls: {", "tls: {certificates: [{certificate: server.pem, key: server-key.pem}], ", false},
	{"certificates without a key", "tls: {certificate: server.pem, key: server-key.pem}",
		"tls: {certificates: [{certificate: server.pem}]}", false},
	{"no such second certificate", "tls: {certificate: server.pem, key: server-key.pem}",
		"tls: {certificates: [{certificate: server.pem, key: server-key.pem}, " +
			"{certificate: gone.pem, key: gone.pem}]}", false},
	{"a limit too high", "store:", "limits: {loops: 65}\nstore:", false},
	{"a share", "store:", "limits: {app_connections_share: 10}\nstore:", false},
	{"a TLS version", "tls: {", "tls: {min_version: 1.4, ", false},
	{"a spool mode", "store:", "spool: {mode: maybe}\nstore:", false},
	{"a size", "store:", "spool: {max_bytes: 1GB}\nstore:", false},
	{"a count", "store:", "limits: {window: 0}\nstore:", false},
	{"a duration", "store:", "limits: {drain: 30}\nstore:", false},
	{"a rate", "store:", "limits: {handshake_rate_per_address: 500}\nstore:", false},
	{"a range", "store:", "limits: {token_bytes: 100..32}\nstore:", false},
	{"an address", `gateway: {listen: "127.0.0.1:0"}`, "gateway: {listen: nonsense}", false},
	{"a port too high", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: ":70000"}`, false},
	{"an address of another machine", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: "192.0.2.1:0"}`, false},
	{"an open admin port", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: ":0"}`, false},
	{"a short admin token", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: x}`, false},
	{"a store in a file", "path: data", "path: server.pem", false},
	{"a store below a file", "path: data", "path: server.pem/data", false},
	{"no such include", "store:", "include: gone.yaml\nstore:", false},
	{"no such apps_dir", "store:", "apps_dir: gone\nstore:", false},
	{"a key's text for its file", "key: server-key.pem", "key: \"-----BEGIN\"", false},
	{"a key's text cut short", "key: AuthKey_DEVELOPER.p8", "key: \"-----BEGIN PRIVATE KEY-----\"", true},
	{"no such key", "AuthKey_DEVELOPER.p8", "gone.p8", true},
	{"a certificate for a key", "AuthKey_DEVELOPER.p8", "ca.pem", true},
	{"a key without its certificate", "file: chat.pem", "file: client-key.pem", true},
	{"an expired certificate", "file: chat.pem", "file: expired.pem", true},
	{"another app's certificate", "topic: com.example.chat", "topic: com.example.other", true},
	{"no such endpoint_ca", "environment: production", "endpoint_ca: gone.pem", true},
}

// habits change nothing: people write so.
var habits = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	func(s string) string { return "# ours\n\n" + s + "\n# end\n" },
	func(s string) string {
		return strings.ReplaceAll(s, "topic: com.example.demo", "topic: 'com.example.demo'")
	},
	func(s string) string {
		return strings.ReplaceAll(s, "path: data", "path: ${APNSBRIDGE_NOWHERE:-data}")
	},
	func(s string) string { return strings.ReplaceAll(s, "[{cidr: 10.1.0.0/16}]", "{cidr: 10.1.0.0/16}") },
	func(s string) string {
		return strings.ReplaceAll(s, "store: {path: data}", "store:\n    path:   data   # here")
	},
	func(s string) string { return strings.ReplaceAll(s, "environment: production", "strict: yes") },
	func(s string) string { return "---\n" + strings.TrimPrefix(s, "---\n") },
}

// libraryWords are those of Go and of libraries, which no message has.
var libraryWords = regexp.MustCompile(`config\.|\*[a-z]+\.|asn1|x509:|tls: |goccy|\bstruct\b|unmarshal|reflect|strconv|netip|\[\d+:\d+\]|pkcs12:|goroutine|<nil>`)

// agreement is a folder of files that configurations name.
type agreement struct {
	t   *testing.T
	dir string
}

func newAgreement(t *testing.T) *agreement {
	a := &agreement{t, t.TempDir()}
	dir := filepath.Join(a.dir, "etc")
	if err := pki().Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]devpki.ClientOptions{
		"chat.pem": {Topic: "com.example.chat"},
		"expired.pem": {Topic: "com.example.chat", NotBefore: time.Now().AddDate(-2, 0, 0),
			NotAfter: time.Now().AddDate(-1, 0, 0)},
	} {
		pair, err := pki().Issue(options)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(pair.CertPEM, pair.KeyPEM...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// judgement is what check and serve have against a text, and what they warn of.
type judgement struct {
	check, serve     error
	warnings, logged []string
}

func (a *agreement) judge(text string) (j judgement) {
	path := filepath.Join(a.dir, "etc", "apnsbridge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	found := new(findings)
	j.check = checkCommand{Config: path}.look(a.t.Context(), found, new(bytes.Buffer))
	for _, f := range append(found.Alarms, found.Warnings...) {
		j.warnings = append(j.warnings, f.Text)
	}
	settings, err := config.Load(path)
	if err != nil {
		j.serve = err
		return j
	}
	assembled, err := assemble(settings)
	if err != nil {
		j.serve = err
		return j
	}
	log := new(lockedBuffer)
	s, err := newService(assembled, zerolog.New(log), nil)
	if err != nil {
		j.serve = err
		return j
	}
	s.warn()
	if err := s.close(); err != nil {
		a.t.Error(err)
	}
	for _, w := range assembled.warnings() {
		j.logged = append(j.logged, w.text)
	}
	return j
}

// check refuses what serve refuses, in the same words, and warns of the same.
func TestCheckAgreesWithServe(t *testing.T) {
	a := newAgreement(t)
	random := rand.New(rand.NewPCG(1, 2))
	try := func(name, text string, wrong, held bool) {
		j := a.judge(text)
		check, serve, warnings, logged := j.check, j.serve, j.warnings, j.logged
		if fmt.Sprint(check) != fmt.Sprint(serve) {
			t.Errorf("%s:\ncheck says %v\nserve says %v", name, check, serve)
		}
		if (serve != nil) != wrong {
			t.Errorf("%s: serve says %v, is it wrong: %v", name, serve, wrong)
		}
		if serve == nil && strings.Join(warnings, "\n") != strings.Join(logged, "\n") {
			t.Errorf("%s:\ncheck warns of %q\nserve warns of %q", name, warnings, logged)
		}
		alarm := strings.Contains(strings.Join(warnings, "\n"), "until then the app's notifications wait")
		if serve == nil && alarm != held {
			t.Errorf("%s: %q, is an app held: %v", name, warnings, held)
		}
		if said := fmt.Sprint(serve, warnings); serve != nil &&
			libraryWords.MatchString(strings.ReplaceAll(said, a.dir, "")) {
			t.Errorf("%s: %q speaks of what only programmers know", name, said)
		}
	}
	if len(mistakes) < 60 {
		t.Errorf("%d kinds of mistakes", len(mistakes))
	}
	for i, m := range mistakes {
		for range 2 {
			text := strings.Replace(agreementBase, m.old, m.with, 1)
			if text == agreementBase {
				t.Fatalf("%s changes nothing", m.name)
			}
			if second := mistakes[(i+1+random.IntN(len(mistakes)-1))%len(mistakes)]; random.IntN(4) == 0 &&
				!m.held && !second.held {
				text = strings.Replace(text, second.old, second.with, 1)
			}
			habit := random.IntN(4)
			try(m.name, habits[habit](text), !m.held, m.held)
		}
	}
	for i := range 100 {
		text := agreementBase
		for range 1 + random.IntN(3) {
			text = habits[random.IntN(len(habits))](text)
		}
		if random.IntN(4) == 0 {
			text = "\xef\xbb\xbf" + text
		}
		try(fmt.Sprintf("good %d", i), text, false, false)
	}
}
