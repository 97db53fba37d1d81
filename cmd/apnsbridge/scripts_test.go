package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// The scripts test each command from outside; the README's configuration is one of
// their files. Besides testscript's own commands they have those below.
func TestScripts(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(readme, []byte("```yaml\n"))
	example, _, ok := bytes.Cut(after, []byte("```"))
	if !ok {
		t.Fatal("README.md has no example of a configuration")
	}
	foreign, err := filepath.Abs("../../endtoend/testdata/foreign")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(servertest.Scratch, "scripts-") // one has programs of its own
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:         "testdata/script",
		WorkdirRoot: folder,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FOREIGN", foreign)
			return os.WriteFile(filepath.Join(env.WorkDir, "readme.yaml"), example, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ports": scriptPorts, "pki": scriptPKI, "printed": scriptPrinted, "start": scriptStart, "await": scriptAwait,
			"take": scriptTake, "paste": scriptPaste,
		},
	})
}

// ports FILE puts free ports into a configuration, in place of those that init writes
// and of the defaults, which may be in use on the machine that runs the tests. The push
// port is $PUSH afterwards.
func scriptPorts(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	text := ts.ReadFile(file)
	if !strings.Contains(text, "\ngateway:") {
		text += `
gateway: {listen: ":2195"}
feedback: {listen: ":2196"}
admin: {listen: "127.0.0.1:9195"}
`
	}
	for _, port := range []string{":2195", ":2196", "127.0.0.1:9195"} {
		address := freePort(ts)
		if !strings.Contains(text, `"`+port+`"`) {
			ts.Fatalf("%s has no %s", args[0], port)
		}
		text = strings.Replace(text, `"`+port+`"`, `"`+address+`"`, 1)
		if port == ":2195" {
			ts.Setenv("PUSH", address)
		}
	}
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
}

// pki DIR writes what apnsbridge certs does, with keys that are there already: RSA keys are slow
// to make.
func scriptPKI(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(servertest.PKI().Write(ts.MkAbs(args[0])))
}

func freePort(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// printedLines returns the lines of a file that begin with begins, unchanged.
func printedLines(ts *testscript.TestScript, file, begins string) (all []string) {
	for line := range strings.Lines(ts.ReadFile(file)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, begins) {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		ts.Fatalf("%s has no line that begins with %q", file, begins)
	}
	return all
}

// printed FILE BEGINNING [WORD] runs each line of a command's output that begins with
// BEGINNING, as it is printed or, if WORD is given, from WORD on.
func scriptPrinted(ts *testscript.TestScript, neg bool, args []string) {
	for _, line := range printedLines(ts, args[0], args[1]) {
		if len(args) > 2 {
			line = line[max(0, strings.Index(line, args[2])):]
		}
		if err := ts.Exec("sh", "-c", line); (err == nil) == neg {
			ts.Fatalf("%s: %v", line, err)
		}
	}
}

// start LOG READY FILE BEGINNING runs the one line of FILE that begins with BEGINNING in
// the background until the script ends, and waits until its output contains READY.
func scriptStart(ts *testscript.TestScript, _ bool, args []string) {
	log, ready := ts.MkAbs(args[0]), args[1]
	line := printedLines(ts, args[2], args[3])[0]
	out, err := os.Create(log)
	ts.Check(err)
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, out
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		out.Close()
	})
	awaitText(ts, log, ready)
}

// await FILE TEXT waits until a file contains a text.
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	awaitText(ts, ts.MkAbs(args[0]), args[1])
}

func awaitText(ts *testscript.TestScript, file, text string) {
	for deadline := time.Now().Add(servertest.Patience); !strings.Contains(ts.ReadFile(file),
		text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s never has %q:\n%s", file, text, ts.ReadFile(file))
		}
	}
}

// take NAME FILE REGEXP sets an environment variable to what the first group matches.
func scriptTake(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if found == nil {
		ts.Fatalf("%s has no %s:\n%s", args[1], args[2], ts.ReadFile(args[1]))
	}
	ts.Setenv(args[0], found[1])
}

// paste FILE PLACE FROM BEGINNING replaces PLACE in FILE by the line of FROM that begins
// with BEGINNING.
func scriptPaste(ts *testscript.TestScript, _ bool, args []string) {
	text, line := ts.ReadFile(args[0]), printedLines(ts, args[2], args[3])[0]
	if !slices.Contains(strings.Fields(text), args[1]) {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], line)), 0o600))
}
