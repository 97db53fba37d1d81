package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/findings"
)

// checkListeners listens on all addresses at once, as serve does, and closes them again.
// If a gateway is running it tries none, unless it must.
func (a *Assembly) checkListeners(must bool) (notes []findings.Listener, err error) {
	c := a.config
	beside := !must && storeInUse(c.Path(c.Store.Path))
	var errs []error
	var held []net.Listener
	try := func(setting, address string) {
		note := findings.Listener{Setting: setting, Address: address, State: findings.Held}
		if !beside {
			listener, err := net.Listen("tcp", address)
			if note.State = findings.Free; err != nil {
				if note.State = findings.Wrong; errors.Is(err, syscall.EADDRINUSE) {
					note.State = findings.Taken
				}
				errs = append(errs, ListenProblem(setting, err))
			} else {
				held = append(held, listener)
			}
		}
		notes = append(notes, note)
	}
	for _, l := range c.Feedback.Listen {
		try("feedback.listen", l.Address)
	}
	for _, l := range c.Gateway.Listen {
		try("gateway.listen", l.Address)
	}
	if c.Admin.Listen != "" {
		try("admin.listen", c.Admin.Listen)
	}
	if c.Fleet.Listen != "" {
		try("fleet.listen", c.Fleet.Listen)
	}
	for _, l := range held {
		l.Close()
	}
	return notes, errors.Join(errs...)
}

// ListenProblem returns a sentence with what to do about an address that cannot be listened on.
func ListenProblem(setting string, err error) error {
	var lookup *net.DNSError
	remedy := ""
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &lookup):
		remedy = ": write an address of this machine, or none, as in :2195"
	case errors.Is(err, syscall.EINVAL): // link-local without an interface, or with one that does not exist
		remedy = ": write an address that needs no interface, or its interface behind it, as in [fe80::1%eth0]:2195"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		remedy = ": this machine has no IPv6: write an address of IPv4, or none, as in :2195"
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = ": end the program that has the port, or choose another"
	case errors.Is(err, syscall.EACCES):
		remedy = ": choose a port from 1024, or give the program the capability CAP_NET_BIND_SERVICE"
	}
	if op := new(net.OpError); errors.As(err, &op) {
		err = op // without what other errors say around it
		if op.Addr != nil {
			setting += " " + op.Addr.String()
		}
	}
	return fmt.Errorf("%s: %w%s", setting, upstream.Plain(err), remedy)
}
