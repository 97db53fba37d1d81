//go:build unix

package config

import (
	"syscall"
	"time"
)

// spent is how long this process has had a processor, whatever else the machine has to do.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
