package gateway_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// acknowledged reports whether the other side's kernel has all that was written.
func acknowledged(t *testing.T, c *net.TCPConn) bool {
	t.Helper()
	return ioctl(t, c, unix.SIOCOUTQ) == 0
}

// unread is how many bytes have arrived.
func unread(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	return ioctl(t, c, unix.SIOCINQ)
}

// acknowledge does at once what the kernel may put off.
func acknowledge(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	if err != nil {
		t.Fatal(err)
	}
}

func ioctl(t *testing.T, c *net.TCPConn, request uint) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), request) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// limitDescriptors lets the process open descriptors below n only.
func limitDescriptors(t *testing.T, n int) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }
}
