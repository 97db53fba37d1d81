//go:build unix

package unix

import "golang.org/x/sys/unix"

// Errno and its values are those of golang.org/x/sys/unix.
type Errno = unix.Errno

const (
	EAGAIN   = unix.EAGAIN
	EINTR    = unix.EINTR
	EMFILE   = unix.EMFILE
	ENOTCONN = unix.ENOTCONN

	F_DUPFD_CLOEXEC = unix.F_DUPFD_CLOEXEC
	O_CLOEXEC       = unix.O_CLOEXEC
	O_RDONLY        = unix.O_RDONLY
	SHUT_WR         = unix.SHUT_WR
	SOL_SOCKET      = unix.SOL_SOCKET
	SO_ERROR        = unix.SO_ERROR
)

func Close(fd int) error                                   { return unix.Close(fd) }
func FcntlInt(fd uintptr, cmd, arg int) (int, error)       { return unix.FcntlInt(fd, cmd, arg) }
func GetsockoptInt(fd, level, opt int) (int, error)        { return unix.GetsockoptInt(fd, level, opt) }
func Open(path string, mode int, perm uint32) (int, error) { return unix.Open(path, mode, perm) }
func Read(fd int, b []byte) (int, error)                   { return unix.Read(fd, b) }
func Shutdown(fd, how int) error                           { return unix.Shutdown(fd, how) }
func Write(fd int, b []byte) (int, error)                  { return unix.Write(fd, b) }
