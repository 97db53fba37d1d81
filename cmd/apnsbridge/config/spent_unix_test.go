//go:build unix

package config

import (
	"syscall"
	"time"
)

// spent returns the CPU time of this process, which does not depend on what else the machine does.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
