package servertest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Foreign returns the path of a program, and skips the test if it is not installed.
func Foreign(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed on this machine", name)
	}
	return path
}

// Called returns a command that runs the test binary under the name of one of TestMain's commands.
func Called(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	link := filepath.Join(t.TempDir(), name)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, link); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	// testscript.Main chooses the command by the name under which the test binary is called.
	return exec.Command(link, args...)
}

// Apnsbridge runs an apnsbridge command as a process.
func (w *World) Apnsbridge(stdin string, args ...string) (code int, stdout, stderr string) {
	w.T.Helper()
	var out, err bytes.Buffer
	cmd := Program(w.T, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	if failed := cmd.Run(); failed != nil && cmd.ProcessState == nil {
		w.T.Fatal(failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}
