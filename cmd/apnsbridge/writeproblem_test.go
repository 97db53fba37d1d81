package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// If a file cannot be written, one sentence says so and what to do, and nothing is said to have
// been made that was not.
func TestWriteProblems(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := servertest.PKI().Write("etc"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	key := []string{"--topic", "com.example.mail", "--key", "etc/AuthKey_DEVELOPER.p8", "--key-id", "ABC123DEFG",
		"--team-id", "DEF123GHIJ"}
	for _, place := range []string{file, filepath.Join(file, "below"), "/dev/null/x"} {
		for name, args := range map[string][]string{
			"certs":      {"certs", "--dir", place},
			"certs init": {"certs", "init", "--dir", place},
			"sim":        {"sim", "--dir", place},
			"init":       append([]string{"init", "--config", filepath.Join(place, "apnsbridge.yaml")}, key...),
			"init's pki": append([]string{"init", "--config", "new.yaml", "--pki", filepath.Join(place, "pki")}, key...),
		} {
			t.Run(name+" in "+filepath.Base(place), func(t *testing.T) {
				t.Parallel()
				var stdout, stderr bytes.Buffer
				code := run(args, streams{in: new(bytes.Buffer), out: &stdout, err: &stderr})
				said := stderr.String()
				if code != exitFailed || stdout.Len() > 0 || strings.Count(said, "\n") != 1 ||
					!strings.HasPrefix(said, "apnsbridge: "+place) ||
					!strings.HasSuffix(said, " cannot be written: not a directory: name a place where you may write\n") {
					t.Errorf("exit code %d, %s%s", code, stdout.String(), said)
				}
			})
		}
	}
}
