package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

// habits are ways of writing a configuration that change nothing.
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

// libraryWords matches words of Go and of libraries, which must not be in a message.
var libraryWords = regexp.MustCompile(`\b[a-z][a-z0-9]*\.[A-Z][a-z]\w*|map\[|interface|json:|unexpected EOF|errno|0x[0-9a-f]|config\.|\*[a-z]+\.|asn1|x509:|tls: |goccy|\bstruct\b|unmarshal|reflect|strconv|netip|\[\d+:\d+\]|pkcs12:|goroutine|<nil>`)

// agreement is a folder with files that the configurations name.
type agreement struct {
	t     *testing.T
	dir   string
	taken string // an address that another program listens on
}

func newAgreement(t *testing.T) *agreement {
	a := &agreement{t: t, dir: t.TempDir()}
	dir := filepath.Join(a.dir, "etc")
	if err := servertest.PKI().Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]devpki.ClientOptions{
		"chat.pem": {Topic: "com.example.chat"},
		"expired.pem": {Topic: "com.example.chat", NotBefore: time.Now().AddDate(-2, 0, 0),
			NotAfter: time.Now().AddDate(-1, 0, 0)},
	} {
		pair, err := servertest.PKI().Issue(options)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(pair.CertPEM, pair.KeyPEM...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	chat, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: "com.example.chat"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := chat.TLS()
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern2023.Encode(key.PrivateKey, chat.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	lapsed, err := servertest.PKI().Issue(devpki.ClientOptions{NotBefore: time.Now().AddDate(-2, 0, 0),
		NotAfter: time.Now().AddDate(-1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"aps.cer": servertest.PKI().Client.Leaf.Raw, "push.jks": []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), "empty": nil,
		"picture.p12": []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "chat.p12": p12,
		"lapsed.pem": lapsed.CertPEM, "lapsed-key.pem": lapsed.KeyPEM,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gone", filepath.Join(dir, "nowhere")); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	a.taken = taken.Addr().String()
	return a
}

// judgement is what check and serve say against a configuration, and what they warn of, as
// printed.
type judgement struct {
	check, serve     string // empty: it is accepted
	warnings, logged []string
}

func (a *agreement) judge(text string) (j judgement) {
	path := filepath.Join(a.dir, "etc", "apnsbridge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	var out, problems bytes.Buffer
	code := run([]string{"check", "--config", path}, streams{in: new(bytes.Buffer), out: &out, err: &problems})
	if j.check = problems.String(); (code == exitOK) != (j.check == "") || code == exitUsage {
		a.t.Errorf("check has exit code %d and says %s", code, j.check)
	}
	for line := range strings.Lines(out.String()) {
		for _, begins := range []string{"alarm: ", "warning: "} {
			if said, ok := strings.CutPrefix(strings.TrimSpace(line), begins); ok {
				j.warnings = append(j.warnings, said)
			}
		}
	}
	refuse := func(err error) judgement {
		var said bytes.Buffer
		if code := printError(err, &said); code != exitFailed {
			a.t.Errorf("serve has exit code %d", code)
		}
		j.serve = said.String()
		return j
	}
	settings, err := config.Load(path)
	if err != nil {
		return refuse(err)
	}
	assembled, err := server.Assemble(settings)
	if err != nil {
		return refuse(err)
	}
	log := new(servertest.Buffer)
	s, err := server.New(assembled, server.Options{Log: zerolog.New(log)})
	if err != nil {
		return refuse(err)
	}
	ended, end := context.WithCancel(a.t.Context())
	end()
	if err := s.Serve(ended, nil); err != nil {
		a.t.Error(err)
	}
	for line := range strings.Lines(log.String()) {
		var event struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			a.t.Fatal(err)
		}
		if event.Level == "warn" || event.Level == "error" {
			j.logged = append(j.logged, event.Message)
		}
	}
	return j
}

// wants is the result that a configuration must have.
type wants struct {
	refused, held bool
	says          string
}

// trial is a configuration, and what it should come to. TAKEN stands for an address that another program has.
type trial struct {
	name, text string
	want       wants
}

// try judges a configuration. check and the log of serve must say the same, in words for
// people.
func (a *agreement) try(tt trial) {
	a.t.Helper()
	name, want := tt.name, tt.want
	j := a.judge(strings.ReplaceAll(tt.text, "TAKEN", a.taken))
	if j.check != j.serve {
		a.t.Errorf("%s:\ncheck says %s\nserve says %s", name, j.check, j.serve)
	}
	if (j.serve != "") != want.refused {
		a.t.Errorf("%s: serve says %q, want the configuration to be refused: %v", name, j.serve, want.refused)
	}
	warned := strings.Join(j.warnings, "\n")
	if logged := strings.Join(j.logged, "\n"); j.serve == "" && warned != logged {
		a.t.Errorf("%s:\ncheck warns of\n%s\nserve warns of\n%s", name, warned, logged)
	}
	if held := strings.Contains(warned, "until then the app's notifications wait"); j.serve == "" && held != want.held {
		a.t.Errorf("%s: got warnings %q, want an app to be held: %v", name, warned, want.held)
	}
	if !strings.Contains(warned, want.says) {
		a.t.Errorf("%s: the warnings %q do not say %q", name, warned, want.says)
	}
	said := strings.ReplaceAll(warned+"\n"+j.serve, a.dir, "")
	if word := libraryWords.FindString(said); word != "" {
		a.t.Errorf("%s: %q contains %q, which only programmers understand", name, said, word)
	}
}

// mistaken makes a mistake in a configuration.
func mistaken(t *testing.T, name, text, old, with string) string {
	t.Helper()
	wrong := strings.Replace(text, old, with, 1)
	if wrong == text {
		t.Fatalf("%s changes nothing", name)
	}
	return wrong
}

// trials are configurations with mistakes, with lapses, and good ones: the same in each run.
func trials(t *testing.T) (all []trial) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for i, m := range mistakes {
		for range 2 {
			text := mistaken(t, m.name, agreementBase, m.old, m.with)
			if second := mistakes[(i+1+random.IntN(len(mistakes)-1))%len(mistakes)]; random.IntN(4) == 0 &&
				!m.held && !second.held && strings.Contains(text, second.old) {
				text = mistaken(t, second.name, text, second.old, second.with)
			}
			all = append(all, trial{m.name, habits[random.IntN(4)](text), wants{refused: !m.held, held: m.held}})
		}
	}
	for _, m := range lapses {
		for range 2 {
			text := mistaken(t, m.name, agreementBase, m.old, m.with)
			all = append(all, trial{m.name, habits[random.IntN(4)](text), wants{says: m.says}})
		}
	}
	for i, first := range habits { // good ones: each habit, alone and behind each other one
		for j, second := range habits {
			text := second(first(agreementBase))
			if random.IntN(4) == 0 {
				text = "\xef\xbb\xbf" + text
			}
			all = append(all, trial{fmt.Sprintf("good %d %d", i, j), text, wants{}})
		}
	}
	return all
}

// check refuses what serve refuses, in the same words, and warns of the same.
func TestCheckAgreesWithServe(t *testing.T) {
	t.Parallel()
	if len(mistakes) < 60 {
		t.Errorf("%d kinds of mistakes", len(mistakes))
	}
	const parts = 6 // each waits for its own disk and listeners
	all := trials(t)
	for part := range parts {
		t.Run(fmt.Sprintf("part %d", part), func(t *testing.T) {
			t.Parallel()
			a := newAgreement(t)
			for i := part; i < len(all); i += parts {
				a.try(all[i])
			}
		})
	}
}
