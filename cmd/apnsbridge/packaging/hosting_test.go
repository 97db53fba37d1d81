package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// goreleaser publishes what packaging/build makes, from where that puts it.
func TestGoreleaser(t *testing.T) {
	var c struct {
		Version int
		Before  struct{ Hooks []string }
		Builds  []struct{ Skip bool }
		Release struct {
			ExtraFiles []struct{ Glob string } `yaml:"extra_files"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(top, ".goreleaser.yaml"))), &c); err != nil {
		t.Fatal(err)
	}
	if c.Version != 2 || len(c.Builds) != 1 || !c.Builds[0].Skip || len(c.Before.Hooks) != 2 ||
		len(c.Release.ExtraFiles) != 1 {
		t.Fatalf("got %+v", c)
	}
	script, argument, _ := strings.Cut(c.Before.Hooks[1], " ")
	info, err := os.Stat(filepath.Join(top, script))
	if err != nil || info.Mode()&0o100 == 0 || argument != "{{ .Version }}" {
		t.Errorf("%s is not executable, or its argument is %s: %v", script, argument, err)
	}
	const published = "./release/*"
	if got := c.Release.ExtraFiles[0].Glob; got != published || !strings.Contains(read(t, "build"), "${2:-release}") {
		t.Errorf("%s is published, which is not where build writes", got)
	}
	if !strings.Contains(read(t, filepath.Join(top, ".gitignore")), "\n/release/\n") {
		t.Error("git does not ignore /release, but goreleaser refuses a tree with changes")
	}
}

// The workflow runs .ci/run and nothing else.
func TestWorkflow(t *testing.T) {
	var c struct {
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(top, ".github/workflows/ci.yml"))), &c); err != nil {
		t.Fatal(err)
	}
	var run []string
	for _, job := range c.Jobs {
		for _, step := range job.Steps {
			if step.Run != "" {
				run = append(run, step.Run)
			}
		}
	}
	if len(run) != 1 || run[0] != ".ci/run" {
		t.Errorf("the workflow runs %q, want .ci/run alone", run)
	}
}

// goreleaser's own reader of its configuration knows every key in it. Only the reader is
// compiled, because compiling the rest of goreleaser takes longer than all of CI; whoever
// makes a release runs goreleaser check.
func TestGoreleaserReads(t *testing.T) {
	if !*long {
		t.Skip("compiles goreleaser's reader: run it with -args -long")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), `module check

go 1.26.0

require github.com/goreleaser/goreleaser/v2 v2.16.0
`, 0o644)
	write(t, filepath.Join(dir, "main.go"), `package main

import (
	"log"
	"os"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

func main() {
	if _, err := config.Load(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
`, 0o644)
	file, err := filepath.Abs(filepath.Join(top, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	bent := filepath.Join(dir, "bent.yaml")
	write(t, bent, strings.Replace(read(t, file), "checksum:", "checksums:", 1), 0o644)
	for _, tt := range []struct {
		file string
		good bool
	}{{file, true}, {bent, false}} {
		cmd := exec.Command("go", "run", ".", tt.file)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if unavailable(out) {
			t.Skipf("goreleaser's modules cannot be had:\n%s", out)
		}
		if (err == nil) != tt.good {
			t.Errorf("%s: %v\n%s", tt.file, err, out)
		}
	}
}
