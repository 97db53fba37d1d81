package gateway

import (
	"io"
	"time"

	"apnsbridge/gateway/unix"
)

// Both sides have ended. A provider that has gone altogether answers the packet
// with a reset; one that still reads, with an acknowledgement. The session has
// to know which, for only the second will send anything again.
const (
	firstLook, longestLook = time.Millisecond, 100 * time.Millisecond
)

func (c *Conn) takeLeave() {
	if c.packet.end == 0 {
		c.finish(c.untold())
		return
	}
	c.heardAt.Store(time.Now().UnixNano())
	c.drained.Store(true)
	c.server.linger(c)
	c.leaving = firstLook
	c.lookBack()
}

// untold is why the session of a connection that ended in order was not told all it
// had to say, nil if it was.
func (c *Conn) untold() error {
	if c.last != nil && c.last.packet && c.packet.end == 0 {
		return io.EOF
	}
	return nil
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

// socketError is what the kernel has learnt of a connection that is not read
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

// broke ends a connection that the provider or the network has broken. All that our
// kernel had of it has been read.
//
// One that had ended its stream before, and that was told nothing, has ended in order:
// a provider that closes its socket with our session ticket unread sends a reset behind
// its close_notify.
func (c *Conn) broke(err error) {
	if c.theirs != open && c.packet.end == 0 {
		c.finish(c.untold())
		return
	}
	c.server.counters.resets.Add(1)
	if c.theirs == open {
		if !c.framed {
			c.server.counters.resetsUnread.Add(1)
		}
		if c.missed() {
			c.nothingMore(fin)
		}
	}
	c.finish(err)
}

// finish closes the descriptor and the session; idempotent. A descriptor that is
// gnet's is closed by who called us.
func (c *Conn) finish(err error) {
	if c.ours == reset {
		return
	}
	if c.theirs == open {
		c.cut(c.partial)
		if err == ErrServerClosed {
			c.server.counters.cutOff.Add(1)
		}
	}
	c.ours, c.full = reset, false
	c.gnet = nil
	c.closeDescriptor()
	c.become(watched)
	c.partial, c.stash, c.large = nil, nil, nil
	c.countHeld()
	c.mu.Lock()
	c.errand = never
	c.mu.Unlock()
	c.session.Close(err)
	c.server.remove(c)
}
