//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe in place of a file is read, because a shell's <(…) is one, but not waited for.
func TestPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	took := patience
	for try := 0; try < 10 && took > patience/2; try++ { // on a busy machine one try may take longer
		begin := time.Now()
		if _, err := ReadBounded(path, 10); err == nil || !strings.Contains(err.Error(), "nothing comes through it") {
			t.Errorf("without a writer: got %v", err)
		}
		took = time.Since(begin)
	}
	if took > patience/2 {
		t.Errorf("without a writer it took %v", took)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "nothing comes through it") {
		t.Errorf("as the configuration: got %v", err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0) // for reading as well, so that opening does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBounded(path, 3); !errors.Is(err, ErrTooLong) { // without waiting for the end
		t.Errorf("with a writer: got %v", err)
	}
}
