package gateway

import (
	"time"

	"golang.org/x/sys/unix"

	"apnsbridge/binproto"
)

const (
	// quietFor is how long a provider has to have written nothing before it is told a
	// failure. One that writes its list and goes has closed by then: the packet meets a
	// closed socket, and the reset that answers it throws away what lies unread.
	quietFor = 20 * time.Millisecond

	// speakAfter is how long a provider that goes on writing waits for its packet.
	speakAfter = time.Second
)

// mayEnd ends our side if that was asked for. Before a packet the connection is read
// until the provider is quiet, has ended its side, or a second is over.
func (c *Conn) mayEnd(r request) {
	switch {
	case c.unsaid != nil:
		if c.maySpeak() {
			r, c.unsaid = *c.unsaid, nil
			c.end(r)
		} else if r.speak {
			c.listen()
		}
	case r.end && r.packet && !c.over:
		c.unsaid, c.decided, c.full = &r, time.Now(), false
		c.listen()
	case r.end:
		c.end(r)
	}
}

func (c *Conn) listen() {
	time.AfterFunc(quietFor, func() { c.ask(func(r *request) { r.speak = true }) })
}

// maySpeak reports whether it is time for the packet that was decided on.
func (c *Conn) maySpeak() bool {
	now := time.Now()
	waited := now.Sub(c.decided)
	return c.over || waited >= speakAfter || waited >= quietFor && c.silence(now) >= quietFor
}

// end ends our side: the packet if there is one, close_notify and FIN, all in
// one segment, since apns4erl loses what it writes between packet and FIN. What
// fails here, reading will report, behind what the provider had written before.
func (c *Conn) end(r request) {
	c.ended, c.full = true, false
	cork(c.descriptor())
	err := c.say(r)
	unix.Shutdown(c.descriptor(), unix.SHUT_WR)
	if c.halfClosed {
		if err != nil {
			c.finish(err)
			return
		}
		c.takeLeave()
		return
	}
	c.heardAt.Store(time.Now().UnixNano())
	c.drained.Store(c.over)
	c.server.linger(c)
}

// say writes the packet and close_notify. One Write is one TLS record: split
// into 1 and 5 bytes, node-apn crashes and PHP misses it.
func (c *Conn) say(r request) error {
	if r.packet {
		var buf [binproto.ResponseSize]byte
		if _, err := c.stream.Write(r.response.Append(buf[:0])); err != nil {
			return err
		}
		c.packetEnd = c.wire.sent
		c.server.counters.packets.Add(1)
	}
	return c.stream.CloseWrite()
}

// providerEnded tells the session that nothing more can be read.
func (c *Conn) providerEnded() {
	if c.over {
		return
	}
	c.over = true
	c.drained.Store(true)
	c.session.Shutdown(c.heard())
}

// heard says whether an error packet was written and has been acknowledged.
// Behind it in the queue are close_notify and our FIN.
func (c *Conn) heard() bool {
	if c.packetEnd == 0 {
		return false
	}
	n, ok := unacknowledged(c.descriptor())
	return ok && n <= c.wire.sent-c.packetEnd+1
}

// sawFIN is called when the provider's FIN has been read, behind all it wrote.
// If our side has not ended, the descriptor stays for the packet: gnet would
// close it.
func (c *Conn) sawFIN() {
	c.wire.eof = true
	if !c.over {
		c.pump()
		c.countHeld()
	}
	switch {
	case c.gone:
	case c.halfClose() && c.ended:
		c.takeLeave()
	}
}

// halfClose keeps the descriptor of a connection whose provider has ended its
// side. It says whether that worked.
func (c *Conn) halfClose() bool {
	if c.gnet != nil {
		fd, err := c.loop.dup(c.gnet.Fd())
		if err != nil {
			c.finish(err)
			return false
		}
		c.gnet, c.fd = nil, fd
	}
	c.halfClosed = true
	c.server.counters.halfClosed.Add(1)
	return true
}

// Both sides have ended. A provider that has gone altogether answers the packet
// with a reset; one that still reads, with an acknowledgement. The session has
// to know which, for only the second will send anything again.
const (
	firstLook, longestLook = time.Millisecond, 100 * time.Millisecond
)

func (c *Conn) takeLeave() {
	if c.packetEnd == 0 {
		c.finish(nil)
		return
	}
	c.heardAt.Store(time.Now().UnixNano())
	c.drained.Store(true)
	c.server.linger(c)
	c.leaving = firstLook
	c.lookBack()
}

// lookBack finishes the connection if it is known how the packet fared, and
// else looks again later. The sweep ends one of which it never is.
func (c *Conn) lookBack() {
	switch err := socketError(c.fd); {
	case err != nil:
		c.broke(err)
	case c.heard():
		c.finish(nil)
	default:
		time.AfterFunc(c.leaving, func() { c.ask(func(r *request) { r.lookBack = true }) })
		c.leaving = min(2*c.leaving, longestLook)
	}
}

// socketError is what the kernel has learnt of a connection that nobody reads
// from or writes to.
func socketError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}

// broke ends a connection that the provider or the network has broken.
func (c *Conn) broke(err error) {
	c.server.counters.resets.Add(1)
	c.finish(err)
}

// finish is the end: of the descriptor, and of the session's hopes. A
// descriptor that is gnet's is closed by who called us.
func (c *Conn) finish(err error) {
	if c.gone {
		return
	}
	c.gone, c.full = true, false
	c.gnet = nil
	c.closeDescriptor()
	c.unpark()
	if c.halfClosed {
		c.server.counters.halfClosed.Add(-1)
	}
	c.partial, c.stash, c.large = nil, nil, nil
	c.countHeld()
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.session.Close(err)
	c.server.remove(c)
}
