//go:build unix

package unix

import "golang.org/x/sys/unix"

// Errno and its values are those of golang.org/x/sys/unix.
type Errno = unix.Errno

// The errors that the gateway knows apart.
const (
	EAGAIN   = unix.EAGAIN
	EINTR    = unix.EINTR
	EMFILE   = unix.EMFILE
	ENOTCONN = unix.ENOTCONN
)

// What the calls below are asked for.
const (
	F_DUPFD_CLOEXEC = unix.F_DUPFD_CLOEXEC
	O_CLOEXEC       = unix.O_CLOEXEC
	O_RDONLY        = unix.O_RDONLY
	SHUT_WR         = unix.SHUT_WR
	SOL_SOCKET      = unix.SOL_SOCKET
	SO_ERROR        = unix.SO_ERROR
)

// Close closes a descriptor.
func Close(fd int) error { return unix.Close(fd) }

// FcntlInt is fcntl with a number as its argument.
func FcntlInt(fd uintptr, cmd, arg int) (int, error) { return unix.FcntlInt(fd, cmd, arg) }

// GetsockoptInt is a socket's option that is a number.
func GetsockoptInt(fd, level, opt int) (int, error) { return unix.GetsockoptInt(fd, level, opt) }

// Open opens a file.
func Open(path string, mode int, perm uint32) (int, error) { return unix.Open(path, mode, perm) }

// Read reads what there is.
func Read(fd int, b []byte) (int, error) { return unix.Read(fd, b) }

// Shutdown ends one of the directions of a connection, or both.
func Shutdown(fd, how int) error { return unix.Shutdown(fd, how) }

// Write writes as much as there is room for.
func Write(fd int, b []byte) (int, error) { return unix.Write(fd, b) }
