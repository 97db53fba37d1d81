package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// newBytes is more than a new store takes on disk.
const newBytes = 128 << 10

// Try finds out whether Open could write in dir, even while a store is open there, and
// leaves nothing behind. It has to write: what a mode, a mount or a pseudo file system
// refuses cannot be known otherwise. An error is a sentence for the operator, like Open's.
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
	room := int64(0) // on a full disk an existing store goes on with the room that it has
	for _, name := range []string{fileName, filepath.Join(spoolDir, queuesFileName)} {
		path := filepath.Join(dir, name)
		switch err := tryOpen(path); {
		case errors.Is(err, fs.ErrNotExist):
			room = newBytes
		case errors.Is(err, syscall.ENOTDIR):
			return within(dir, filepath.Dir(path), err)
		case err != nil:
			return within(dir, path, err)
		}
		folder := filepath.Dir(path)
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			continue // it will be made in dir, which was tried already
		}
		if err := tryFile(folder, room); err != nil && (room > 0 || !errors.Is(err, syscall.ENOSPC)) {
			return within(dir, folder, err)
		}
	}
	return nil
}

// Full says why the store in dir takes nothing more, even while a store is open there:
// there is no space on its disk, or, as store.ErrSpoolFull, it has reached the bounds of o.
// It is nil if neither is so, or there is no store. Its figures are a second or two old.
func Full(dir string, o Options) error {
	var errno syscall.Errno
	if err := tryFile(filepath.Join(dir, spoolDir), newBytes); errors.As(err, &errno) &&
		(errno == syscall.ENOSPC || errno == syscall.EDQUOT) {
		return errno
	}
	stats, _, err := SpoolBeside(dir)
	if err != nil {
		return nil
	}
	waiting, common := int64(0), newBounds(o).common
	for _, l := range stats.Lines {
		waiting += l.Bytes
	}
	if waiting+largest > common-common/finestPart {
		return store.ErrSpoolFull
	}
	return nil
}

// A spool is full if the next notification does not fit even after room was made. What is
// done stays in a segment if it is less than one part in finestPart of it.
const (
	largest    = 8 << 10 // bytes of a notification, and more
	finestPart = 32
)

// tryOpen tries whether a file of the store can be written.
func tryOpen(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return errNoFile
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

var errNoFile = errors.New("it is a device or a pipe")

// within says why what is at path, in the store's directory, is of no use to the store.
func within(dir, path string, err error) error {
	switch {
	case path == dir || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC):
		return unwritable(path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be written: %w: give %s and all in it to the user that apnsbridge runs as", path,
			cause(err), dir)
	}
	return fmt.Errorf("%s cannot be written: %w: remove it, or name another directory", path, cause(err))
}

// cause is err without the name of the file.
func cause(err error) error {
	if failed := new(fs.PathError); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// unwritable says why path cannot hold the store, and what to do.
func unwritable(path string, err error) error {
	if errors.Is(err, errNowhere) {
		return fmt.Errorf("%s %w: make the directory that is meant, or name another", path, errNowhere)
	}
	return boltfile.Unwritable(path, err)
}

var errNowhere = errors.New("is, or is below, a link to what is not there")

// tryNew tries to make a directory below the nearest existing parent of dir.
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

// tryFile makes a file of size bytes in dir, and removes it.
func tryFile(dir string, size int64) error {
	file, err := os.CreateTemp(dir, ".apnsbridge-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, size))
	return errors.Join(err, file.Close())
}
