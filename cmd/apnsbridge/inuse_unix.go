//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// storeInUse reports whether a gateway runs with the store in dir: it holds a
// lock on its files. The lock that is tried is shared and gone at once.
func storeInUse(dir string) bool {
	file, err := os.Open(filepath.Join(dir, "feedback.db"))
	if err != nil {
		return false
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}
