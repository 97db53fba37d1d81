package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkDirectory looks whether the store can be in dir, without making it.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file: name a directory", dir)
	case err == nil && !writable(dir):
		return fmt.Errorf("%s cannot be written: give it to the user that apnsbridge runs as", dir)
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return checkParent(filepath.Dir(dir), dir)
	}
	return fmt.Errorf("%s cannot be read: give it to the user that apnsbridge runs as, or name a directory "+
		"below no file", dir)
}

// checkParent looks whether dir can be made below the nearest directory that
// there is.
func checkParent(parent, dir string) error {
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist) && parent != filepath.Dir(parent):
		return checkParent(filepath.Dir(parent), dir)
	case err != nil || !info.IsDir() || !writable(parent):
		return fmt.Errorf("%s cannot be made: make it, and give it to the user that apnsbridge runs as", dir)
	}
	return nil
}
