//go:build !unix

package unix

import (
	"errors"
	"syscall"
)

// Errno and its values are the system's, or invented by package syscall.
type Errno = syscall.Errno

const (
	EAGAIN   = syscall.EAGAIN
	EINTR    = syscall.EINTR
	EMFILE   = syscall.EMFILE
	ENOTCONN = syscall.ENOTCONN

	F_DUPFD_CLOEXEC = 0
	O_CLOEXEC       = 0
	O_RDONLY        = 0
	SHUT_WR         = 0
	SOL_SOCKET      = 0
	SO_ERROR        = 0
)

func Close(int) error                          { return errors.ErrUnsupported }
func FcntlInt(uintptr, int, int) (int, error)  { return 0, errors.ErrUnsupported }
func GetsockoptInt(int, int, int) (int, error) { return 0, errors.ErrUnsupported }
func Open(string, int, uint32) (int, error)    { return 0, errors.ErrUnsupported }
func Read(int, []byte) (int, error)            { return 0, errors.ErrUnsupported }
func Shutdown(int, int) error                  { return errors.ErrUnsupported }
func Write(int, []byte) (int, error)           { return 0, errors.ErrUnsupported }
