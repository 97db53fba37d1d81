//go:build unix

package server

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanServe returns what this system lacks for a gateway, nil if nothing.
func CanServe() error { return nil }

// storeInUse reports whether a running gateway has the store in dir, by the lock that it
// holds. The lock that is tried is shared and released at once.
func storeInUse(dir string) bool {
	file, err := os.OpenFile(filepath.Join(dir, "feedback.db"), os.O_RDONLY|syscall.O_NONBLOCK, 0) // may be a pipe
	if err != nil {
		return false
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}

// openFiles returns how many files this process may open. Go has raised the soft limit to
// the hard one.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return ^uint64(0)
	}
	return uint64(limit.Cur) // signed on FreeBSD
}
