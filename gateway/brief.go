package gateway

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// briefly is how long a connection is read where its handshake was done, or up to twice that. A provider that
// connects for each message writes it right after the handshake and goes. Giving such a connection to a loop costs
// more than reading it: another descriptor, two calls of epoll, threads that wake one another, and a processor that
// Go's monitor looks at every 20 µs while the loop waits. So a loop gets only connections that last.
const briefly = 20 * time.Millisecond

// briefs are the connections that are read where their handshakes were done, max at most.
// One timer serves all of them, as it does for the crew.
type briefs struct {
	max    int
	within time.Duration

	mu      sync.Mutex
	reading map[*net.TCPConn]bool // true: the previous look has seen it already
	watched bool                  // look will be called
}

// enter reports whether there is room for c.
func (b *briefs) enter(c *net.TCPConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.reading) >= b.max {
		return false
	}
	b.reading[c] = false
	if !b.watched {
		b.watched = true
		time.AfterFunc(b.within, b.look)
	}
	return true
}

func (b *briefs) leave(c *net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reading, c)
}

// look ends the reading of those that the previous look has seen already.
func (b *briefs) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, seen := range b.reading {
		if seen {
			c.SetReadDeadline(time.Unix(1, 0))
		}
		b.reading[c] = true
	}
	if b.watched = len(b.reading) > 0; b.watched {
		time.AfterFunc(b.within, b.look)
	}
}

// readBriefly reads what a connection begins with. It reports whether there is nothing left for a loop to read: the
// connection is gone, or the provider has ended its side and ours waits for the session. What the session asks for
// waits until more bytes come, or until a loop has the connection.
func (c *Conn) readBriefly(tcp *net.TCPConn) (done bool) {
	fd, err := descriptorOf(tcp)
	if err != nil || !c.server.briefs.enter(tcp) {
		return false
	}
	defer c.server.briefs.leave(tcp)
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

// endBriefly handles the provider's end. What the session asks for later needs some loop. If there is none yet, the
// connection is given to the first one, which sees the end again.
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
