package quoting

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"apnsbridge/cmd/apnsbridge/config"
)

// base is a configuration without a store.
const base = `tls: {certificate: server.pem, key: server-key.pem}
apps:
  mail:
    topic: com.example.demo
    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
    clients: [{cidr: 10.1.0.0/16}]
`

// Each language reads a quoted value back unchanged.
func TestQuoting(t *testing.T) {
	for _, value := range []string{"pki/ca.pem", "my pki/ca.pem", "Jane's \"k\" $HOME ${X} `id` \\ \\' #1", "-x", "null",
		"yes", "1e3",
		"*", "&a", "{a: b}", "%x!", "a\tb", "\x1b[31m"} {
		file := filepath.Join(t.TempDir(), "apnsbridge.yaml")
		text := base + "store: {path: " + YAML(value) + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if read, err := config.Load(file); err != nil || read.Store.Path != value {
			t.Errorf("%s: read from a configuration it is %+v, %v", value, read, err)
		}
		for program, args := range map[string][]string{
			"sh":  {"-c", "printf %s " + Shell(value)},
			"php": {"-n", "-r", "echo " + PHP(value) + ";"},
		} {
			if _, err := exec.LookPath(program); err != nil {
				t.Logf("%s is not installed", program)
				continue
			}
			if got, err := exec.CommandContext(t.Context(), program, args...).Output(); err != nil || string(got) != value {
				t.Errorf("%s: %s reads %q, %v", value, program, got, err)
			}
		}
	}
}

// No text can move a terminal's cursor or change what it shows.
func TestTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"two lines,\n\tand a tab: “größer” 漢\n": "two lines,\n\tand a tab: “größer” 漢\n",
		`C:\"x"`:                `C:\"x"`,
		"\x1b[31mred\x07\r":     `\x1b[31mred\a\r`,
		"\u009b2J\x7f":          `\u009b2J\x7f`,
		"\u202eback\u00a0wards": `\u202eback\u00a0wards`,
		"latin1 \xe9, \ufffd":   `latin1 \xe9, ` + "\ufffd",
	} {
		if got := Terminal(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
