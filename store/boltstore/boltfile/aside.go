package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	bbolterrors "go.etcd.io/bbolt/errors"
)

// What is in the name of a file that is not the store's any more.
const (
	DamagedInfix = ".damaged-" // before the time at which a file was set aside
	ImportedEnd  = ".imported" // behind the name of a file that has been imported
)

// SetAside says that a damaged file was found at Open, and where it is now. It
// is a sentence for the operator.
type SetAside struct {
	Path string // where it is now
	Was  error
}

// Error is that sentence.
func (s *SetAside) Error() string {
	return fmt.Sprintf("%v: it is kept as %s, and an empty one has begun", s.Was, s.Path)
}

// Unwrap gives what is wrong with the file.
func (s *SetAside) Unwrap() error { return s.Was }

// setAside renames a damaged file and lets go of it. The lock is held until
// then, and whoever waits for it looks again at what is under the path.
func (f *File) setAside(was error, now time.Time) error {
	defer f.abandon()
	if _, err := f.opened.Stat(); err != nil {
		// bbolt has let go of it, and another process may have it now.
		return fmt.Errorf("%w: move it away to start with an empty one", was)
	}
	to, err := setAside(f.path, now)
	if err != nil {
		return fmt.Errorf("%w; it cannot be set aside: %w", was, err)
	}
	return &SetAside{Path: to, Was: was}
}

// setAside renames a file, and says to what.
func setAside(path string, now time.Time) (to string, err error) {
	for n := 1; ; n++ {
		to := path + DamagedInfix + now.UTC().Format("20060102T150405Z")
		if n > 1 {
			to = fmt.Sprintf("%s-%d", to, n)
		}
		// The name is taken first: a rename would replace what has it.
		taken, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			taken.Close()
			err = os.Rename(path, to)
		}
		return to, err
	}
}

// Damaged are the files that were set aside in dir and are still there.
func Damaged(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var damaged []string
	for _, e := range entries {
		if strings.Contains(e.Name(), DamagedInfix) && !strings.HasSuffix(e.Name(), ImportedEnd) {
			damaged = append(damaged, filepath.Join(dir, e.Name()))
		}
	}
	return damaged, nil
}

// openLocked opens the file that is under path once it is ours alone: one that
// has been renamed while we waited is not it any more.
func openLocked(path string, flag int, mode os.FileMode) (*os.File, error) {
	const again = 50 * time.Millisecond
	deadline := time.Now().Add(lockWait)
	for {
		opened, err := os.OpenFile(path, flag, mode)
		if err != nil {
			return nil, err
		}
		err = lock(opened)
		if err == nil && isAt(opened, path) {
			return opened, nil
		}
		opened.Close()
		switch {
		case err != nil && !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, err
		case time.Now().After(deadline):
			return nil, bbolterrors.ErrTimeout
		case err != nil:
			time.Sleep(again)
		}
	}
}

// Hold opens a file that is there for its lock alone, which goes with the file's closing.
func Hold(path string) (*os.File, error) {
	f, err := openLocked(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is %w", path, ErrInUse)
	case err != nil:
		return nil, Unwritable(path, err)
	}
	return f, nil
}

func isAt(opened *os.File, path string) bool {
	ours, err := opened.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}
