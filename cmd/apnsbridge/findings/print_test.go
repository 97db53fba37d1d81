package findings

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// finds makes findings on apps, with those in trouble first: c has the given state, b an alarm,
// a.b a warning, and inOrder more are in order.
func finds(inOrder int, c string) *Findings {
	f := &Findings{Config: "x.yaml", Listeners: []Listener{
		{Setting: "gateway.listen", Address: ":2195", State: Free},
		{Setting: "feedback.listen", Address: ":2196", State: Free},
		{Setting: "admin.listen", Address: ":9195", State: Taken}}}
	add := func(name, state, credential, expires string, dry bool) {
		f.Apps = append(f.Apps, App{Name: name, Topic: "com." + name, Environment: "production", State: state,
			Credential: credential, Expires: expires, DryRun: dry})
	}
	if c == "problem" {
		add("c", c, "token", "", false)
	}
	add("b", "alarm", "none of use", "", false)
	add("a.b", "warning", "certificate", "2027-01-02", true)
	for i := range inOrder {
		add(fmt.Sprintf("a%d", i), "ok", "token", "", false)
	}
	add("a", "ok", "certificate", "2027-03-04", false)
	if c == "ok" {
		add("c", c, "token", "", false)
	}
	f.Alarms = []Finding{{Setting: "apps.b.credential", Text: "b has none"}}
	f.Warnings = []Finding{{Setting: "apps.a.b.dry_run", Text: "a.b goes nowhere"}, {Setting: "apps.b", Text: "b besides"},
		{Setting: "limits.window", Text: "of no app"}}
	return f
}

func TestPrint(t *testing.T) {
	const sentences = "alarm: b has none\nwarning: a.b goes nowhere\nwarning: b besides\nwarning: of no app\n"
	few := finds(1, "problem")
	few.Problems = []Finding{{Setting: "apps.c, sandbox", Text: "c is refused"}}
	for _, tt := range []struct {
		name  string
		found *Findings
		want  string
	}{
		{"few", few, sentences + `STATE    APP  TOPIC    ENVIRONMENT          CREDENTIAL
problem  c    com.c    production           token
alarm    b    com.b    production           none of use
warning  a.b  com.a.b  production, dry run  certificate
ok       a0   com.a0   production           token
ok       a    com.a    production           certificate
admin.listen :9195: taken
addresses that are free: 2
`},
		{"many", finds(498, "ok"), sentences + `STATE    APP  TOPIC    ENVIRONMENT          CREDENTIAL
alarm    b    com.b    production           none of use
warning  a.b  com.a.b  production, dry run  certificate
other apps: 500, with a token: 499, with a certificate: 1, of which the first expires on 2027-03-04
admin.listen :9195: taken
addresses that are free: 2
x.yaml: no problems, alarms: 1, warnings: 3
`},
		{"none", &Findings{Config: "x.yaml"}, "x.yaml: no problems\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var bare, colored strings.Builder
			if err := tt.found.Print(&bare); err != nil || bare.String() != tt.want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, bare.String(), tt.want)
			}
			if err := tt.found.print(&colored, paintAlways); err != nil {
				t.Error(err)
			}
			codes := regexp.MustCompile(`\x1b\[[0-9;]*m`)
			if got := codes.ReplaceAllString(colored.String(), ""); got != tt.want {
				t.Errorf("without colours, got\n%s\nwant\n%s", got, tt.want)
			}
			if tt.found.Apps != nil && !strings.Contains(colored.String(), "\x1b[1;31malarm\x1b[0m ") {
				t.Errorf("an alarm is not red:\n%q", colored.String())
			}
		})
	}
}

// Output that is not a terminal gets no colours.
func TestPainterLooksForATerminal(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if got := painter(write)(red, "alarm"); got != "alarm" {
		t.Errorf("a pipe gets %q, want no colours", got)
	}
}

// Control characters in the names of files and apps are printed escaped.
func TestPrintOddNames(t *testing.T) {
	const odd = "a\x1b[2J\rb"
	f := &Findings{Config: odd, Alarms: []Finding{{Text: odd}}, Warnings: []Finding{{Text: odd}},
		Apps:      []App{{Name: odd, Topic: odd, Credential: odd, State: "ok"}},
		Listeners: []Listener{{Setting: "gateway.listen", Address: odd, State: Taken}}, Postgres: odd}
	var out strings.Builder
	if err := f.Print(&out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), `a\x1b[2J\rb`); got != 8 || strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("%d of 8 names are printed escaped:\n%q", got, out.String())
	}
}
