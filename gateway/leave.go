package gateway

import (
	"io"
	"time"

	"apnsbridge/gateway/unix"
)

// firstLook and longestLook are the waits between checks of whether the packet arrived,
// once both sides have ended. A provider that is gone altogether answers the packet with a
// reset; one that still reads, with an acknowledgement. The session has to know which, for
// only the second kind will send anything again.
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

// untold is io.EOF if the provider of a connection that ended in an orderly way was not
// sent the packet that the session had asked for, and nil otherwise.
func (c *Conn) untold() error {
	if c.last != nil && c.last.packet && c.packet.end == 0 {
		return io.EOF
	}
	return nil
}

// lookBack finishes the connection if it is known whether the packet arrived, and else
// checks again later. If that is never known, the sweep ends the connection.
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

// socketError is the error that the kernel has noted for a connection that we neither read
// from nor write to.
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

// broke ends a connection that the provider or the network has broken. Everything that
// our kernel had of it has been read.
//
// If the provider had ended its stream before, and was told nothing, this still counts as
// an orderly end: a provider that closes its socket with our session ticket unread sends
// a reset after its close_notify.
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

// finish closes the descriptor and the session. It may be called more than once. If gnet
// holds the descriptor, the caller closes that.
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
