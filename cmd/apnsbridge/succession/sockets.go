package succession

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are the listening sockets of a process, some of which it was given.
type Sockets struct {
	given []net.Listener
	all   []net.Listener
}

// FromSystemd takes the sockets that systemd, or the parent of Accompany, has put into
// the process; there may be none. It is called once.
func FromSystemd() (*Sockets, error) {
	adopt()
	s := new(Sockets)
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("%s, which systemd gave, is no listening socket: %w", f.Name(), err)
		}
		s.given = append(s.given, l)
	}
	return s, nil
}

// Given reports whether the process was given sockets: another one may have the store
// still.
func (s *Sockets) Given() bool { return len(s.given) > 0 }

// Listen returns the socket that listens on address, as net.Listen takes it: one
// that was given, or a new one.
func (s *Sockets) Listen(address string) (net.Listener, error) {
	for i, l := range s.given {
		if l != nil && listensOn(l, address) {
			s.given[i] = nil
			s.all = append(s.all, l)
			return l, nil
		}
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		s.all = append(s.all, l)
	}
	return l, err
}

// listensOn reports whether l is what net.Listen would give for address.
func listensOn(l net.Listener, address string) bool {
	has, ok := l.Addr().(*net.TCPAddr)
	wants, err := net.ResolveTCPAddr("tcp", address)
	if !ok || err != nil || has.Port != wants.Port {
		return false
	}
	return isAny(has.IP) && isAny(wants.IP) || has.IP.Equal(wants.IP)
}

func isAny(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }

// Unclaimed gives the addresses of sockets that were given and that Listen was not
// asked for: connections to them would wait for ever.
func (s *Sockets) Unclaimed() (addresses []string) {
	for _, l := range s.given {
		if l != nil {
			addresses = append(addresses, l.Addr().String())
		}
	}
	return addresses
}

// Close closes all sockets in this process.
func (s *Sockets) Close() {
	for _, l := range append(s.given, s.all...) {
		if l != nil {
			l.Close()
		}
	}
}

// parentVariable says to a child of Accompany whose child it is.
const parentVariable = "APNSBRIDGE_PARENT"

// adopt makes what systemd has said to the parent of Accompany this process' own.
func adopt() {
	parent := strconv.Itoa(os.Getppid())
	if os.Getenv(parentVariable) != parent {
		return
	}
	for _, name := range []string{"LISTEN_PID", "WATCHDOG_PID"} {
		if os.Getenv(name) == parent {
			os.Setenv(name, strconv.Itoa(os.Getpid()))
		}
	}
}

// without gives the environment but for one variable.
func without(environment []string, name string) (rest []string) {
	for _, v := range environment {
		if !strings.HasPrefix(v, name+"=") {
			rest = append(rest, v)
		}
	}
	return rest
}
