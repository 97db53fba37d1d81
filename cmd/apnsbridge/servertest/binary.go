package servertest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the program, built once for all tests of a package.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(Scratch, "apnsbridge")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if Raced {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "apnsbridge/cmd/apnsbridge")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Program returns a command that runs apnsbridge as a separate process.
func Program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, args...)
}

// The exit codes of a command.
const (
	OK      = 0
	Failed  = 1
	Misused = 2
)
