package gateway

// nothingMore tells the session that nothing more can be read.
func (c *Conn) nothingMore(theirs side) {
	if c.theirs != open {
		c.theirs = max(c.theirs, theirs)
		return
	}
	c.theirs = theirs
	c.drained.Store(true)
	c.session.Shutdown(c.heard())
}

// heard reports whether an error packet was written and has been acknowledged. Only
// close_notify and our FIN follow it.
func (c *Conn) heard() bool {
	if c.packet.end == 0 {
		return false
	}
	n, ok := unacknowledged(c.descriptor())
	return ok && n <= c.wire.sent-c.packet.end+1
}

// missed reports whether the provider of a connection that broke had ended it before our
// packet came: the packet was written while something was unread, and was never
// acknowledged. For other resets that cannot be known.
func (c *Conn) missed() bool {
	p, ok := progressOf(c.descriptor())
	return c.packet.interrupts && ok && p.acknowledged < c.packet.tcp
}

// sawFIN is called when the provider's FIN was read, after everything that it wrote. If
// our side has not ended, we keep the descriptor for the packet: gnet would close it.
func (c *Conn) sawFIN() {
	c.wire.eof = true
	if c.theirs == open {
		c.pump()
		c.countHeld()
	}
	if c.ours == reset {
		return
	}
	c.nothingMore(fin)
	switch {
	case !c.halfClose():
	case c.ours == fin:
		c.takeLeave()
	case c.last != nil:
		c.end()
	}
}

// halfClose keeps the descriptor of a connection whose provider has ended its
// side. It reports whether that worked.
func (c *Conn) halfClose() bool {
	if c.gnet != nil {
		fd, err := c.loop.dup(c.gnet.Fd())
		if err != nil {
			c.finish(err)
			return false
		}
		c.gnet, c.fd = nil, fd
	}
	c.become(kept)
	return true
}
