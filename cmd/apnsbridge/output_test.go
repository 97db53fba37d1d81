package main

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// fullDisk is an output on a disk without space.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

// A command fails if its output cannot be written, so that half a script or list is not taken for the whole.
func TestOutputCannotBeWritten(t *testing.T) {
	t.Parallel()
	const want = "apnsbridge: the output cannot be written: no space left on device: make room, or name a place on another disk\n"
	for _, command := range []string{"", "--help", "send --help", "version", "version --modules", "completion bash",
		"completion zsh",
		"completion fish", "man", "check --schema"} {
		var said strings.Builder
		code := run(strings.Fields(command), streams{in: strings.NewReader(""), out: fullDisk{}, err: &said})
		if code != exitFailed || said.String() != want {
			t.Errorf("%s: exit code %d, %s", command, code, said.String())
		}
	}
}
