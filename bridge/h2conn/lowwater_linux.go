package h2conn

import (
	"net"
	"syscall"
)

// lowWater is a socket's receive low-water mark (SO_RCVLOWAT, socket(7)): with
// fewer bytes unread no reader is woken, unless the connection ends.
type lowWater struct {
	socket syscall.RawConn // nil where there is none
	bytes  int             // as it was set last
}

func newLowWater(nc net.Conn) (l lowWater) {
	if c, ok := nc.(syscall.Conn); ok {
		l.socket, _ = c.SyscallConn()
	}
	return l
}

// set reports whether the mark is now at bytes.
func (l *lowWater) set(bytes int) bool {
	if l.socket == nil || l.bytes == bytes {
		return l.bytes == bytes
	}
	err := l.socket.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes) == nil {
			l.bytes = bytes
		}
	})
	return err == nil && l.bytes == bytes
}
