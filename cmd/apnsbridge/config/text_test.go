package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// password reads a configuration in which the password is written as given, in block style
// or in flow style, and returns the password.
func password(written string, flow bool) (string, error) {
	certificate := "\n        file: push.p12\n        password: " + written + "\n"
	if flow {
		certificate = " {file: push.p12, password: " + written + "}\n"
	}
	token := "      token: {key: AuthKey_ABC123.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}\n"
	c, err := parse("f", []byte(strings.Replace(minimal, token, "      certificate:"+certificate, 1)), environment)
	if err != nil {
		return "", err
	}
	return c.Apps["mail"].Credential.Certificate.Password, nil
}

// A text arrives as it is written, whatever YAML would make of it.
func TestTextArrivesAsWritten(t *testing.T) {
	for _, written := range []string{
		"0123", "0000", "007", "08", "123456", "1e5", "1E5", "1.0", "1.10", ".5", "5.", "+1", "-1", "0x1F", "0o17", "0b11", "1_000", "2026-01-01", "2026-01-01T10:00:00Z",
		"12:30:45", "1:2", "yes", "no", "on", "off", "Yes", "true", "False", "y", "n", ".inf", ".nan", "-.inf", "=", "a:b", "a#b", "pa$$word", "$X", "it's", "a\"b", "ü€", "a b",
		"123456789012345678901234567890", "1e400", "0.1e-7", "a&b", "a*b", "a!b", "a|b", "a>b", "a%b", "a@b", "a=b", "a\\b", "<<", "a-", "a?", "(a)",
	} {
		for _, flow := range []bool{false, true} {
			if got, err := password(written, flow); err != nil || got != written {
				t.Errorf("%s, in flow style %v: got %q and %v", written, flow, got, err)
			}
		}
		for _, quoted := range []string{"'" + strings.ReplaceAll(written, "'", "''") + "'", "!!str '" +
			strings.ReplaceAll(written, "'", "''") + "'"} {
			if got, err := password(quoted, false); err != nil || got != written {
				t.Errorf("%s: got %q and %v", quoted, got, err)
			}
		}
	}
}

// A text that would not arrive as written is a problem, which names the line and says that
// quotes help.
func TestTextThatYAMLWouldChange(t *testing.T) {
	for _, written := range []string{
		"#abc", "abc #def", "0123 # x", "&abc", "&abc d", "*abc", "!abc", "!abc d", "%abc", "@abc", "`abc", "{abc", "{abc}", "{a: b}", "[abc", "[abc]", "|abc", ">abc", "a: b", "- abc",
		"\"abc", "'abc", "\"a\\$b\"", "null", "~", "", "\"a\" b", "'a'b", "|", "::", "abc\n          def",
	} {
		got, err := password(written, false)
		if err == nil && got != written {
			t.Errorf("%q arrives as %q", written, got)
		}
		if err == nil {
			continue
		}
		helped := false
		for line := range strings.SplitSeq(err.Error(), "\n") {
			for _, way := range []string{"quote", "remove the key", "in one line"} {
				helped = helped || strings.Contains(line, way) && strings.HasPrefix(line, "f:8: ")
			}
		}
		if !helped || foreign.MatchString(err.Error()) {
			t.Errorf("%q: got %q", written, err)
		}
		if strings.Contains(err.Error(), "def") {
			t.Errorf("%q: the message %q shows the password", written, err)
		}
	}
}

func TestVariables(t *testing.T) {
	for _, tt := range []struct{ written, want string }{
		{"${P12}", `secret: "it's"`},
		{"x${PORT}y", "x2195y"},
		{"${NOWHERE:-a, b: c #d}", "a, b: c #d"},
		{"${EMPTY:-a}", "a"},
		{"${PORT:-a}", "2195"},
		{"${NOWHERE:-}${PORT}", "2195"},
		{"$${PORT}", "${PORT}"},
		{"${PORT}${PORT}", "21952195"},
		{"$PORT", "$PORT"},
		{"\"${PORT}\"", "2195"},
		{"'${PORT}'", "2195"},
	} {
		for _, flow := range []bool{false, true} {
			if got, err := password(tt.written, flow); err != nil || got != tt.want {
				t.Errorf("%s, in flow style %v: got %q and %v, want %q", tt.written, flow, got, err, tt.want)
			}
		}
	}
	c, err := parse("f", []byte(strings.Replace(minimal, "apps:", "limits: {window: ${PORT}, drain: ${NOWHERE:-5s}}\napps:", 1)), environment)
	if err != nil || c.Limits.Window != 2195 {
		t.Errorf("got %v and %v", c, err)
	}
}

// The file may have been saved by any editor.
func TestEncodings(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbf" + minimal,
		"CRLF":            strings.ReplaceAll(minimal, "\n", "\r\n"),
		"document marks":  "---\n" + minimal + "...\n",
		"a directive":     "%YAML 1.2\n---\n" + minimal,
		"merged":          strings.Replace(minimal, "    clients:\n", "    <<: {strict: yes, topic: x}\n    clients: &c\n", 1),
		"no list":         strings.Replace(minimal, "      - {cidr: 10.1.0.0/16}", "      cidr: 10.1.0.0/16", 1),
	} {
		c, err := parse("f", []byte(text), environment)
		if err != nil || c.Apps["mail"].Topic != "com.example.mail" || c.TLS.Key != "server-key.pem" || len(c.Apps["mail"].Clients) != 1 {
			t.Errorf("%s: got %+v and %v", name, c, err)
		}
	}
	for text, want := range map[string]string{
		"\xff\xfea\x00": `f:1: the file is saved as UTF-16 ("Unicode"): save it as UTF-8`,
		"a: \xe4":       "f:1: the line is not UTF-8: save the file as UTF-8",
	} {
		if _, err := parse("f", []byte(text), environment); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// All problems are reported at once, in the order of lines.
func TestAllAtOnce(t *testing.T) {
	_, err := parse("f", []byte(`gatway: {listen: ":1"}
tls: {certificate: server.pem, min_version: 1.5}
limits: {window: none, drain: 30}
apps:
  mail:
    topic: "${NOWHERE}"
    enviroment: sandbox
    credential: {token: {key: a, key_id: b}}
    clients: [{cidr: x}, {cidr: 10.0.0.0/8, sha256: z}]
`), environment)
	got := strings.Split(fmt.Sprint(err), "\n")
	for i, want := range []string{"f:1: ", "f:2: ", "f:2: ", "f:3: ", "f:3: ", "f:6: ", "f:7: ", "f:8: ", "f:9: ", "f:9: "} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("got %q, want problem %d to begin with %s", got, i, want)
		}
	}
}

// files writes files to a folder and loads its apnsbridge.yaml.
func files(t *testing.T, texts map[string]string) (*Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "apnsbridge.yaml"))
	return c, dir, err
}

const (
	top = "tls: {certificate: server.pem, key: server-key.pem}\n"
	app = "topic: com.example.NAME\ncredential: {token: {key: k.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}\nclients: {cidr: 10.1.0.0/16}\n"
)

func TestInclude(t *testing.T) {
	c, dir, err := files(t, map[string]string{
		"apnsbridge.yaml":              top + "include: conf.d/*.yaml\napps_dir: apps.d\nlimits: {window: 5}\n",
		"conf.d/a.yaml":                "limits: {drain: 5s}\ntls: {legacy_ciphers: true}\n",
		"conf.d/b.yaml":                "apps:\n  one:\n    " + strings.ReplaceAll(strings.TrimSpace(app), "\n", "\n    "),
		"apps.d/two.yaml":              app,
		"apps.d/three.yml":             "topic: com.example.three\nclients: {cidr: 10.2.0.0/16}\n",
		"apps.d/four.yaml":             "topic: com.example.four\nclients: {cidr: 10.2.0.0/16}\ncredential: {certificate: {password: x}}\n",
		"apps.d/.hid.yaml":             "nonsense",
		"apps.d/README":                "nonsense",
		"apps.d/k.p8":                  "",
		"apps.d/com.example.three.pem": "",
		"apps.d/com.example.four.p12":  "",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Apps) != 4 || c.Limits.Window != 5 || c.Limits.Drain != Duration(5e9) || !c.TLS.LegacyCiphers {
		t.Errorf("got %+v", c)
	}
	for got, want := range map[string]string{
		c.Apps["one"].Credential.Token[0].Key:       "conf.d/k.p8",
		c.Apps["two"].Credential.Token[0].Key:       "apps.d/k.p8",
		c.Apps["three"].Credential.Certificate.File: "apps.d/com.example.three.pem",
		c.Apps["four"].Credential.Certificate.File:  "apps.d/com.example.four.p12",
	} {
		if c.Path(got) != filepath.Join(dir, want) {
			t.Errorf("got the file %s, want %s", c.Path(got), want)
		}
	}
}

func TestIncludeProblems(t *testing.T) {
	_, dir, err := files(t, map[string]string{
		"apnsbridge.yaml": top + "include: [a.yaml, none.yaml]\napps_dir: apps.d\nlimits: {window: 5}\n",
		"a.yaml":          "limits:\n  window: 6\n  drain: x\napps: {one: {topic: a}}\n",
		"apps.d/one.yaml": app,
		"apps.d/two.yaml": "apps: {two: {}}\n",
	})
	for _, want := range []string{
		"DIR/apnsbridge.yaml:2: there is no file DIR/none.yaml: correct the name, or write a pattern like conf.d/*.yaml",
		"DIR/a.yaml:2: limits.window stands in DIR/apnsbridge.yaml:4 already: keep one of them",
		`DIR/a.yaml:3: "x" is no duration: write one like 10s, 5m, 24h or 90d`,
		"DIR/apps.d/one.yaml:1: the app one stands in DIR/a.yaml:4 already: keep one of them",
		"DIR/apps.d/two.yaml:1: the file's name says which app this is: write its keys without apps: above them, and without indentation",
	} {
		if want = strings.ReplaceAll(want, "DIR", dir); !strings.Contains(fmt.Sprint(err)+"\n", want+"\n") {
			t.Errorf("got %v,\nwant the line %s", err, want)
		}
	}
}

// Included files may include others, relative to their own folder. No file may be read twice,
// however it is named, or include itself.
func TestNestedInclude(t *testing.T) {
	one := "apps:\n  NAME:\n    " + strings.ReplaceAll(strings.TrimSpace(app), "\n", "\n    ") + "\n"
	named := func(name string) string { return strings.ReplaceAll(one, "NAME", name) }
	for _, tt := range []struct {
		name  string
		files map[string]string
		apps  int
		says  string // "": no problem
	}{
		{"a level", map[string]string{"apnsbridge.yaml": top + "include: conf.d/all.yaml\n", "conf.d/all.yaml": "include: more/*.yaml\n" + named("a"), "conf.d/more/b.yaml": named("b")}, 2, ""},
		{"two levels, and a file of the first", map[string]string{"apnsbridge.yaml": top + "include: [a.yaml, z.yaml]\n", "a.yaml": "include: [d/b.yaml]\n", "d/b.yaml": "include: ../e/c.yaml\n" + named("b"), "e/c.yaml": named("c"), "z.yaml": "limits: {window: 7}\n" + named("z")}, 3, ""},
		{"each file has an include of its own", map[string]string{"apnsbridge.yaml": top + "include: [a.yaml, b.yaml]\n", "a.yaml": "include: c.yaml\n", "b.yaml": "include: d.yaml\n", "c.yaml": named("c"), "d.yaml": named("d")}, 2, ""},
		{"only the included file includes", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\n", "a.yaml": "apps_dir: apps.d\n", "apps.d/x.yaml": app}, 1, ""},
		{"two key lines", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\ninclude: a.yaml\n", "a.yaml": named("a")}, 0, "DIR/apnsbridge.yaml:3: include stands in DIR/apnsbridge.yaml:2 already: keep one of them"},
		{"itself", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\n", "a.yaml": named("a") + "include: a.yaml\n"}, 0, "DIR/a.yaml:6: DIR/a.yaml is included twice, or includes itself: DIR/apnsbridge.yaml:2 has it already: keep one of them"},
		{"the main file", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\n", "a.yaml": "include: apnsbridge.yaml\n"}, 0, "DIR/a.yaml:1: DIR/apnsbridge.yaml is included twice, or includes itself: DIR/apnsbridge.yaml:1 has it already: keep one of them"},
		{"a pattern that finds its own file", map[string]string{"apnsbridge.yaml": top + "include: d/*.yaml\n", "d/a.yaml": named("a") + "include: '*.yaml'\n"}, 0, "DIR/d/a.yaml:6: DIR/d/a.yaml is included twice"},
		{"one file in two ways", map[string]string{"apnsbridge.yaml": top + "include: [a.yaml, ./d/../a.yaml]\n", "a.yaml": named("a"), "d/x": ""}, 0, "DIR/a.yaml is included twice"},
		{"two files one another", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\n", "a.yaml": "include: b.yaml\n", "b.yaml": "include: a.yaml\n"}, 0, "DIR/b.yaml:1: DIR/a.yaml is included twice"},
		{"a file that is not there", map[string]string{"apnsbridge.yaml": top + "include: d/a.yaml\n", "d/a.yaml": "# ours\ninclude: [b.yaml]\n" + named("a")}, 0, "DIR/d/a.yaml:2: there is no file DIR/d/b.yaml: correct the name, or write a pattern like conf.d/*.yaml"},
		{"a mistake deep down", map[string]string{"apnsbridge.yaml": top + "include: a.yaml\n", "a.yaml": "include: b.yaml\n" + named("a"), "b.yaml": "limts: {}\n"}, 0, "DIR/b.yaml:1: unknown key \"limts\": did you mean limits?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, dir, err := files(t, tt.files)
			if tt.says == "" {
				if err != nil || len(c.Apps) != tt.apps || len(c.Include) == 0 {
					t.Fatalf("got %+v, %v", c, err)
				}
				return
			}
			if want := strings.ReplaceAll(tt.says, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v,\nwant %s", err, want)
			}
		})
	}
}

// The problem of an app without a credential says which files can be put there.
func TestAppsDirWithoutCredential(t *testing.T) {
	_, _, err := files(t, map[string]string{
		"apnsbridge.yaml": top + "apps_dir: apps.d\n",
		"apps.d/one.yaml": "topic: com.example.one\nclients: {cidr: 10.1.0.0/16}\n",
	})
	if want := "com.example.one.p12"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a sentence with %s", err, want)
	}
}

// No message shows the text of a key, in whatever setting it is.
func TestNoMessageRepeatsAKey(t *testing.T) {
	const secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0123456789"
	pem := "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n"
	der := "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	inBase64 := base64.StdEncoding.EncodeToString([]byte(pem))
	for _, text := range []string{pem, der, strings.TrimSpace(pem), inBase64} {
		lookup := func(string) (string, bool) { return text, true }
		for _, replace := range [][2]string{
			{"AuthKey_ABC123.p8", "${P8}"}, {"ABC123DEFG", "${P8}"}, {"DEF123GHIJ", "${P8}"}, {"com.example.mail", "${P8}"}, {"10.1.0.0/16", "${P8}"}, {"certificate: server.pem", "certificate: ${P8}"},
			{"com.example.mail", "a\n    environment: ${P8}"}, {"com.example.mail", "a\n    endpoint: ${P8}"}, {"com.example.mail", "a\n    strict: ${P8}"},
			{"com.example.mail", "a\n    endpoint: https://${P8}"}, {"com.example.mail", "a\n    push_type: ${P8}"},
			{"cidr: 10.1.0.0/16", "sha256: ${P8}"}, {"cidr: 10.1.0.0/16", "ca: ${P8}"}, {"apps:", "limits: {window: ${P8}}\napps:"}, {"apps:", "limits: {drain: ${P8}}\napps:"},
			{"apps:", "gateway: {listen: ${P8}}\napps:"}, {"apps:", "include: ${P8}\napps:"}, {"apps:", "apps_dir: ${P8}\napps:"}, {"apps:", "store: {path: ${P8}}\napps:"},
			{"apps:", "admin: {token_file: ${P8}}\napps:"}, {"apps:", "tls: {terminated: ${P8}}\napps:"},
		} {
			_, err := parse("f", []byte(strings.Replace(minimal, replace[0], replace[1], 1)), lookup)
			if said := fmt.Sprint(err); strings.Contains(said, inBase64[:40]) || text != der && strings.Contains(said, secret[:12]) || text == der && strings.Contains(said, der[:80]) {
				t.Errorf("%s: %s", replace[1], said)
			}
		}
	}
}
