package packaging_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var long = flag.Bool("long", false, "build packages, install them and build them again: minutes")

// built has the directories with the Linux packages of each version, which the tests share.
var built struct {
	mu  sync.Mutex
	dir string // parent of them all; TestMain removes it
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build runs packaging/build for this machine's architecture and returns the directory with
// the results.
func build(t *testing.T, version string) string {
	t.Helper()
	if !*long {
		t.Skip("builds packages: run it with -args -long")
	}
	built.mu.Lock()
	defer built.mu.Unlock()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "apnsbridge-packages")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
	}
	dir := filepath.Join(built.dir, version)
	if _, err := os.Stat(filepath.Join(dir, "SHA256SUMS")); err == nil {
		return dir
	}
	runBuild(t, ".", version, dir, "SBOM=no", "SOURCE_DATE_EPOCH=1000000000") // on 2001-09-09
	return dir
}

// runBuild runs the build script in the packaging directory from. It skips the test if nfpm
// cannot be had because there is no network.
func runBuild(t *testing.T, from, version, to string, env ...string) {
	t.Helper()
	cmd := exec.Command("bash", filepath.Join(from, "build"), version, to)
	cmd.Env = append(append(os.Environ(), "TARGETS=linux/"+runtime.GOARCH), env...)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case unavailable(out):
		t.Skipf("nfpm and its modules cannot be had:\n%s", out)
	default:
		t.Fatalf("build %s: %v\n%s", version, err, out)
	}
}

// unavailable reports whether the go command has failed because there is no network.
func unavailable(out []byte) bool {
	return bytes.Contains(out, []byte("no such host")) || bytes.Contains(out, []byte("module lookup disabled"))
}

// write creates a file, and its directory.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
