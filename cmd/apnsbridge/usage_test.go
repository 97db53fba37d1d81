package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// typesOfPrograms matches the flag parser's words for Go's types.
var typesOfPrograms = regexp.MustCompile(`\bint\b|\buint\b|\bfloat\b|\bbool\b|\bstring\b|\d bit|EOL|time: |short flag|long flag`)

// Whatever follows a flag, the message is in words of the people who have typed it.
func TestFlagsOutOfPlace(t *testing.T) {
	send := []string{"send", "--token", strings.Repeat("aa", 32)}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{append(send, "--count=x"), `--count: "x" is no whole number`}, {append(send, "--count=1.5"), "is no whole number"},
		{append(send, "--count="), "is no whole number"}, {append(send, "--count", "-1"), `write --count="-1"`},
		{append(send, "--rate=x"), `--rate: "x" is no number`}, {append(send, "--rate", "-1"), `write --rate="-1"`},
		{append(send, "--priority=300"), "is no whole number from 0 to 255"}, {append(send, "--priority=-1"),
			"from 0 to 255"},
		{append(send, "--quiet=5"), `--quiet: "5" is no duration: write one like 10s or 5m`},
		{append(send, "--quiet", "-1s"), `write --quiet="-1s"`}, {append(send, "--cert", "--key"),
			`"--key" is taken for another flag`},
		{append(send, "--json=x"), "is neither yes nor no"}, {append(send, "--format"), "--format: the value is missing"},
		{append(send, "--format=x"), "--format must be one of"}, {append(send, "--rate=NaN"), "--rate is no rate"},
		{append(send, "--rate=Inf"), "--rate is no rate"},
		{append(send, "--gateway", "host"), `--gateway: "host" is no address: write HOST:PORT`},
		{[]string{"feedback", "--feedback", "host:99999"}, `"host:99999" has no port that can be`},
		{[]string{"sim", "--listen", "[::1"}, "--listen: "}, {[]string{"sim", "--control", "1.2.3.4"}, "--control: "},
		{[]string{"sim", "--courier", "2199"}, "--courier: "}, {[]string{"device", "--sim", ":http"}, "--sim: "},
		{[]string{"demo", "--page", ""}, "--page: "},
		{[]string{"check", "--config"}, "--config: the value is missing"}, {[]string{"spool", "move"},
			"<from> and <to> are missing"},
		{[]string{"spool", "move", "a"}, "<to> is missing"}, {[]string{"certs", "renew", "--days=x"}, "is no whole number"},
		{[]string{"trace", "--for", "5"}, "is no duration"}, {[]string{"try", "--app", "-x"}, `write --app="-x"`},
	} {
		var out bytes.Buffer
		code := run(tt.args, streams{in: strings.NewReader(""), out: &out, err: &out})
		if code != exitUsage || !strings.Contains(out.String(), tt.want) || typesOfPrograms.MatchString(out.String()) {
			t.Errorf("%q: exit code %d, want %q: %s", tt.args, code, tt.want, out.String())
		}
	}
}
