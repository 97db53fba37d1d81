package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// usage is the resources that a process has used so far.
type usage struct {
	CPU      time.Duration // in user and system mode, by all threads
	Mallocs  uint64
	Resident int // bytes of memory
}

// since returns what was used between before and u.
func (u usage) since(before usage) usage {
	return usage{CPU: u.CPU - before.CPU, Mallocs: u.Mallocs - before.Mallocs, Resident: u.Resident - before.Resident}
}

func presentUsage() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // it cannot fail with these arguments
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Mallocs: m.Mallocs}
}

// resident returns how many bytes of the process are in memory after garbage has been
// returned to the system.
func resident() (int, error) {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // again: what is in a sync.Pool survives one collection
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, pages int
	if _, err := fmt.Fscan(bytes.NewReader(statm), &size, &pages); err != nil {
		return 0, fmt.Errorf("/proc/self/statm %q: %w", statm, err)
	}
	return pages * os.Getpagesize(), nil
}

// mostAnonymous returns the peak of the process's anonymous memory in bytes during the
// given milliseconds.
func mostAnonymous(milliseconds int) (most int, err error) {
	for i := 0; i <= milliseconds && err == nil; i += 10 {
		var n int
		n, err = presentAnonymous()
		most = max(most, n)
		time.Sleep(10 * time.Millisecond)
	}
	return most, err
}
