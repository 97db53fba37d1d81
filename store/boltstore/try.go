package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"apnsbridge/store/boltstore/boltfile"
)

// newBytes is more than what a new store takes on disk.
const newBytes = 128 << 10

// Try tries whether Open could write in dir, also while a store is open there, and
// leaves nothing behind: what a mode, a mount or a pseudo file system refuses is known
// only by writing. An error is a sentence for the operator, as Open's is.
func Try(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unwritable(dir, tryNew(dir))
	case err != nil:
		return unwritable(dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is a file: name a directory", dir)
	}
	path := filepath.Join(dir, fileName)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unwritable(dir, tryFile(dir, newBytes))
	case err != nil:
		return unwritable(path, err)
	}
	file.Close()
	// On a full disk a store goes on with the room that it has.
	for _, dir := range []string{dir, filepath.Join(dir, spoolDir)} {
		if err := tryFile(dir, 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOSPC) {
			return unwritable(dir, err)
		}
	}
	return nil
}

// unwritable says why path cannot be the store's, and what to do.
func unwritable(path string, err error) error {
	if errors.Is(err, errNowhere) {
		return fmt.Errorf("%s %w: make the directory that is meant, or name another", path, errNowhere)
	}
	return boltfile.Unwritable(path, err)
}

var errNowhere = errors.New("is, or is below, a link to what is not there")

// tryNew tries to make a directory where dir is to be, below the nearest that there is.
func tryNew(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return errNowhere
	}
	parent := filepath.Dir(dir)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) && parent != dir {
		return tryNew(parent)
	}
	made, err := os.MkdirTemp(parent, ".apnsbridge-*")
	if err != nil {
		return err
	}
	defer os.Remove(made)
	return tryFile(made, newBytes)
}

// tryFile makes a file of so many bytes in dir, and removes it.
func tryFile(dir string, size int) error {
	file, err := os.CreateTemp(dir, ".apnsbridge-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, size))
	return errors.Join(err, file.Close())
}
