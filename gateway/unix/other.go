//go:build !unix

package unix

import (
	"errors"
	"syscall"
)

// Errno and its values are the system's, or invented by package syscall.
type Errno = syscall.Errno

// The errors that the gateway knows apart.
const (
	EAGAIN   = syscall.EAGAIN
	EINTR    = syscall.EINTR
	EMFILE   = syscall.EMFILE
	ENOTCONN = syscall.ENOTCONN
)

// What the calls below are asked for.
const (
	F_DUPFD_CLOEXEC = 0
	O_CLOEXEC       = 0
	O_RDONLY        = 0
	SHUT_WR         = 0
	SOL_SOCKET      = 0
	SO_ERROR        = 0
)

// Close fails.
func Close(int) error { return errors.ErrUnsupported }

// FcntlInt fails.
func FcntlInt(uintptr, int, int) (int, error) { return 0, errors.ErrUnsupported }

// GetsockoptInt fails.
func GetsockoptInt(int, int, int) (int, error) { return 0, errors.ErrUnsupported }

// Open fails.
func Open(string, int, uint32) (int, error) { return 0, errors.ErrUnsupported }

// Read fails.
func Read(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Shutdown fails.
func Shutdown(int, int) error { return errors.ErrUnsupported }

// Write fails.
func Write(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
