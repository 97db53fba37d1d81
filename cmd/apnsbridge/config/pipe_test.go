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

// A pipe in a file's place is read, as <(…) of a shell is one, but not waited for.
func TestPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	took := patience
	for try := 0; try < 10 && took > patience/2; try++ { // a busy machine may have something else to do meanwhile
		begin := time.Now()
		if _, err := ReadBounded(path, 10); err == nil || !strings.Contains(err.Error(), "nothing comes through it") {
			t.Errorf("without a writer: got %v", err)
		}
		took = time.Since(begin)
	}
	if took > patience/2 {
		t.Errorf("without a writer it takes %v", took)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "nothing comes through it") {
		t.Errorf("as the configuration: got %v", err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0) // a reader as well, so that it need not wait for one
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBounded(path, 3); !errors.Is(err, ErrTooLong) { // it need not wait for the end
		t.Errorf("with a writer: got %v", err)
	}
}
