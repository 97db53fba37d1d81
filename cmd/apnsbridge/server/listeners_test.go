package server

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// The reason why an address cannot be listened on is given in an operator's words, with what to do.
func TestListenProblem(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 2195}
	on := func(err syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: at, Err: os.NewSyscallError("bind", err)}
	}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"taken", on(syscall.EADDRINUSE),
			"a.listen 10.0.0.1:2195: address already in use: end the program that has the port, or choose another"},
		{"another machine's", on(syscall.EADDRNOTAVAIL),
			"a.listen 10.0.0.1:2195: cannot assign requested address: write an address of this machine, or none, as in :2195"},
		{"link-local without interface", on(syscall.EINVAL),
			"a.listen 10.0.0.1:2195: invalid argument: write an address that needs no interface, or its interface behind it, as in [fe80::1%eth0]:2195"},
		{"no IPv6", on(syscall.EAFNOSUPPORT),
			"a.listen 10.0.0.1:2195: address family not supported by protocol: this machine has no IPv6: write an address of IPv4, or none, as in :2195"},
		{"a name without address", &net.OpError{Op: "listen", Net: "tcp",
			Err: &net.DNSError{Err: "no such host", Name: "gw.invalid", Server: "10.0.0.53:53", IsNotFound: true}},
			"a.listen: the name gw.invalid has no address: write an address of this machine, or none, as in :2195"},
		{"of another kind", errors.New("listen tcp 10.0.0.1:2195: socket: too many open files"),
			"a.listen: socket: too many open files"},
	} {
		if got := ListenProblem("a.listen", tt.err).Error(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
