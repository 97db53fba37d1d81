package seglog

import (
	"os"
	"syscall"
)

// allocate has a file take size bytes of the disk.
func allocate(f *os.File, size int64) error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) }
