package gateway

import (
	"errors"
	"net"
	"os"
	"time"
)

// Who connects for each message writes it behind the handshake and goes. To give such a connection to a loop costs more
// than to read it: another descriptor, epoll twice over, threads that wake one another, and a processor that Go's monitor
// looks at every 20 µs while the loop waits. So it is read first where its handshake was done, and a loop gets what lasts.
const briefly = 20 * time.Millisecond

// readBriefly reads what a connection begins with. It reports whether a loop has nothing to read of it: it has gone, or
// the provider has ended its side and ours waits for the session. What the session asks for waits until the next bytes
// come, or a loop has the connection.
func (c *Conn) readBriefly(tcp *net.TCPConn) (done bool) {
	fd, err := descriptorOf(tcp)
	if err != nil || tcp.SetReadDeadline(time.Now().Add(c.server.briefly)) != nil {
		return false
	}
	room := c.server.scratch.Get().(*scratch)
	defer c.server.scratch.Put(room)
	c.scratch, c.tcp, c.fd, c.holder = room, tcp, fd, arriving
	c.receive(nil) // what came with the handshake
	for n := 0; err == nil && n < len(room.raw) && !c.full; {
		if c.endCall(); c.ours == reset {
			return true
		}
		if n, err = tcp.Read(room.raw); n > 0 {
			c.receive(room.raw[:n])
		}
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case isEOF(err):
		return c.endBriefly()
	}
	c.broke(err)
	return true
}

// endBriefly sees to the provider's end. What the session asks for later needs a loop, any one; a connection that is
// given to the first of all sees its end again.
func (c *Conn) endBriefly() (done bool) {
	l := c.server.anyLoop()
	if l == nil {
		return false
	}
	c.sawFIN()
	if c.endCall(); c.ours != reset {
		c.join(l)
	}
	return true
}

func descriptorOf(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = raw.Control(func(d uintptr) { fd = int(d) })
	}
	return fd, err
}
