package config

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const minimal = `tls: {certificate: server.pem, key: server-key.pem}
apps:
  mail:
    topic: com.example.mail
    credential:
      token: {key: AuthKey_ABC123.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}
    clients:
      - {cidr: 10.1.0.0/16}
`

func environment(name string) (string, bool) {
	text, ok := map[string]string{"P12": "secret: \"it's\"", "PORT": "2195", "EMPTY": ""}[name]
	return text, ok
}

func TestMinimal(t *testing.T) {
	c, err := parse("/etc/apnsbridge.yaml", []byte(minimal), environment)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if c.Limits != want.Limits || c.Spool != want.Spool || c.Store != want.Store || c.Admin != want.Admin ||
		c.TLS.MinVersion != "1.2" {
		t.Errorf("got %+v, want the defaults %+v", c, want)
	}
	app := c.Apps["mail"]
	if app.Environment != "production" || app.PushType != "auto" || app.OnBadToken != "" {
		t.Errorf("got app %+v, want its defaults", app)
	}
	if got := c.Path(c.TLS.Certificate); got != "/etc/server.pem" {
		t.Errorf("got path %s", got)
	}
}

// A configuration with a bit of everything is accepted and means what it says.
func TestFull(t *testing.T) {
	c, err := parse("apnsbridge.yaml", []byte(`
gateway:  {listen: [":${PORT}", {address: "10.0.0.2:2195", environment: sandbox}]}
feedback: {listen: {address: ":2196", proxy_protocol: [10.0.0.0/8, 127.0.0.1]}}
admin:    {listen: "127.0.0.1:9195"}
tls:
  certificate: server.pem
  key: server-key.pem
  min_version: "1.0"
  legacy_ciphers: true
  terminated: [127.0.0.1, "::1", 10.1.2.3/8]
store: {path: data}
spool: {mode: overflow, max_bytes: 1GiB}
apps:
  mail:
    topic: from-certificate
    environment: by-listener
    endpoint: https://127.0.0.1:2197
    endpoint_ca: ca.pem
    proxy: http://proxy:3128
    credential:
      certificate: {file: push.p12, password: "${P12}"}
    clients:
      - {sha256: "ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab"}
      - {spki_sha256: abababababababababababababababababababababababababababababababab, topics: [com.example.mail, com.example.chat]}
      - {ca: clients-ca.pem, uid: com.example.mail}
      - {cidr: 10.1.0.0/16}
    push_type: voip
    on_bad_token: continue
    strict: true
limits:
  token_bytes: 16..64
  window: 10
  handshake_rate_per_address: 100/m
  unparsed_bytes: 128 KiB
  feedback_age: 30d
  drain: 5s
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Gateway.Listen) != 2 || c.Gateway.Listen[0].Address != ":2195" || !reflect.DeepEqual(c.Gateway.Listen[1],
		Address{Address: "10.0.0.2:2195", Environment: "sandbox"}) {
		t.Errorf("got listeners %+v", c.Gateway.Listen)
	}
	if got := fmt.Sprint(c.Feedback.Listen); got != "[{:2196  [10.0.0.0/8 127.0.0.1/32]}]" {
		t.Errorf("got listeners %s", got)
	}
	if got := fmt.Sprint(c.TLS.Terminated); got != "[127.0.0.1/32 ::1/128 10.0.0.0/8]" {
		t.Errorf("got terminated %s", got)
	}
	app := c.Apps["mail"]
	if app.Credential.Certificate == nil || app.Credential.Certificate.Password != `secret: "it's"` ||
		len(app.Clients) != 4 || !app.Strict {
		t.Errorf("got app %+v", app)
	}
	l := c.Limits
	if l.TokenBytes != (Range{16, 64}) || l.Window != 10 || l.HandshakeRatePerAddress != (Rate{100,
		Duration(time.Minute)}) || l.UnparsedBytes != 128<<10 || l.FeedbackAge != Duration(30*24*time.Hour) ||
		l.Drain != Duration(5*time.Second) || l.Connections != 10_000 {
		t.Errorf("got limits %+v", l)
	}
}

// docs/configuration.md shows each bound with its default.
func TestDocumentedLimits(t *testing.T) {
	text, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\nlimits:")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatal("configuration.md does not show the limits")
	}
	c, err := parse("configuration.md", []byte(minimal+"limits:"+block), environment)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits != Default().Limits {
		t.Errorf("configuration.md says %+v, the defaults are %+v", c.Limits, Default().Limits)
	}
	for name := range yamlNames(reflect.TypeFor[Limits]()) {
		if !strings.Contains(block, "\n  "+name+": ") {
			t.Errorf("configuration.md does not show limits.%s", name)
		}
	}
}

func yamlNames(t reflect.Type) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i).Tag.Get("yaml")) {
				return
			}
		}
	}
}

// An admin port is reachable only from this machine, or guarded, or absent.
func TestAdmin(t *testing.T) {
	for _, admin := range []string{
		`{listen: "127.0.0.2:9195"}`,
		`{listen: "[::1]:9195"}`,
		`{listen: "localhost:9195"}`,
		`{listen: ":9195", token: "${P12}"}`,
		`{listen: ":9195", token_file: token}`,
		`{listen: ":9195", certificate: a, key: b, client_ca: c}`,
		`{listen: "", token: ""}`,
	} {
		if _, err := parse("f", []byte(minimal+"admin: "+admin), environment); err != nil {
			t.Errorf("%s: %v", admin, err)
		}
	}
}

func TestEmptyFile(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n"} {
		_, err := parse("f", []byte(text), environment)
		if err == nil || !strings.Contains(err.Error(), "no app is configured") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("got %v, want a sentence that says what to do", err)
	}
	path := filepath.Join(dir, "apnsbridge.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Path("server.pem"); got != filepath.Join(dir, "server.pem") {
		t.Errorf("got %s", got)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory was read as a configuration")
	}
}

// Whatever is in the file, the result is either a configuration or problems, each of which
// names the file.
func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add("gateway: {listen: [a, {address: b}]}\n")
	f.Add("a: &x [*x]")
	f.Add("limits: {window: !!str 3, drain: |\n  3s}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("f", []byte(text), environment)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Fatalf("error does not name the file: %v", err)
		}
	})
}
