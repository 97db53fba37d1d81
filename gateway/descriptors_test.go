package gateway_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noneLeft runs the tests, and fails if they leave a descriptor open.
type noneLeft struct{ *testing.M }

func (m noneLeft) Run() (code int) {
	before := len(openDescriptors())
	code = m.M.Run()
	left := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if left = len(openDescriptors()) - before; left <= 0 {
			return code
		}
	}
	fmt.Printf("%d descriptors are left open\n", left)
	return max(code, 1)
}

// openDescriptors are those of the process; of the Go runtime's own poller too. None where there is no /proc.
func openDescriptors() (fds []int) {
	warm.Do(func() { // the poller's come with the first listener
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		l.Close()
	})
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

var warm sync.Once

// descriptors is how many the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	open := len(openDescriptors())
	if open == 0 {
		t.Skip("no /proc/self/fd")
	}
	return open
}

// hasSocketAt reports whether the process has a socket of a port's: its listener's or a connection's.
func hasSocketAt(t testing.TB, port net.Addr) bool {
	t.Helper()
	for _, fd := range openDescriptors() {
		if at, err := unix.Getsockname(fd); err == nil {
			if at, ok := at.(*unix.SockaddrInet4); ok && at.Port == port.(*net.TCPAddr).Port {
				return true
			}
		}
	}
	return false
}
