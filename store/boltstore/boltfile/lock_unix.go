//go:build unix

package boltfile

import (
	"os"
	"syscall"
)

// lock locks a file for its opener alone, without waiting.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
