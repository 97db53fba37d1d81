//go:build !unix

package server

import (
	"fmt"
	"math"
	"runtime"
)

// CanServe returns what this system lacks for a gateway, nil if nothing.
func CanServe() error {
	return fmt.Errorf("a gateway needs Linux, or another Unix: %s has neither the event loops nor the file locks that "+
		"it is made of. send, feedback, sim, check, certs and init work here; for trying out, serve runs in WSL or a "+
		"container", runtime.GOOS)
}

// storeInUse reports false, because no gateway can run here.
func storeInUse(string) bool { return false }

// openFiles returns no bound.
func openFiles() uint64 { return math.MaxUint64 }
