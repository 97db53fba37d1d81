package gateway

import (
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/unix"
)

const (
	// quietFor is how long a provider has to have written nothing before our side
	// ends, or two round trips to it if these take longer, slowestTrips at most. One that
	// writes its list and goes has closed by then: the packet would meet a closed socket,
	// and the reset that answers it throws away what lies unread.
	quietFor     = 50 * time.Millisecond
	slowestTrips = time.Second

	// catchUp is how many times as long it is read that writes faster than we read:
	// among what lies unread may be its end.
	catchUp = 6

	// closeWithin is how long a provider that goes on writing is read before our side
	// ends without a packet.
	closeWithin = time.Second

	// partingWithin is how long our end waits behind a packet for which the provider was
	// interrupted: see part.
	partingWithin = 2 * time.Second
)

// lastWord is what our side of a connection ends with.
type lastWord struct {
	packet   bool
	response binproto.Response
	decided  time.Time
	within   time.Duration // for which the provider is read before, at most
}

// packet is an error response that was written.
type packet struct {
	at         time.Time
	end        int   // loopWire.sent behind it, 0 if none was written
	tcp        int64 // the same in what TCP counts as acknowledged
	interrupts bool  // there was something unread, perhaps the provider's end
}

// mayEnd ends our side if that was asked for and it is time.
func (c *Conn) mayEnd(r request) {
	switch {
	case c.ours >= fin || r.last == nil:
	case c.last == nil:
		c.last, c.full = r.last, false
		if c.theirs != open {
			c.end()
			return
		}
		c.listen()
	case c.isTime():
		c.end()
	case r.speak:
		c.listen()
	}
}

func (c *Conn) listen() {
	time.AfterFunc(c.quietFor(), func() { c.ask(func(r *request) { r.speak = true }) })
}

// quietFor is how long this provider has to have written nothing.
func (c *Conn) quietFor() time.Duration {
	trip, _ := c.server.roundTrip(c.descriptor())
	return max(quietFor, min(2*trip, slowestTrips))
}

// isTime reports whether our side may go on to end: the provider's has, or it pauses
// in writing, or it has been waited for as long as there is time or room. As long as
// something is unread it may have gone, and its time is longer.
func (c *Conn) isTime() bool {
	now := time.Now()
	since, within := c.last.decided, c.last.within
	longest := catchUp * within
	if c.ours == told {
		since, within, longest = c.packet.at, partingWithin, partingWithin
	}
	switch waited := now.Sub(since); {
	case c.theirs != open, c.full, waited >= longest:
		return true
	case waited >= within:
		return !c.unread()
	default:
		return c.pauses(now, waited)
	}
}

// pauses reports whether the provider has written nothing for as long as it takes to
// see that, of the time that has been waited.
func (c *Conn) pauses(now time.Time, waited time.Duration) bool {
	quiet := min(waited, c.silence(now))
	return quiet >= quietFor && quiet >= c.quietFor() && !c.unread()
}

// unread reports whether our kernel has something of the provider's, or its end.
func (c *Conn) unread() bool {
	fd := c.descriptor()
	return len(c.stash) > 0 || received(fd) > 0 || finCame(fd)
}

// end says what our side ends with and then ends it, all in one segment where the
// provider pauses: apns4erl loses what it writes between packet and FIN.
func (c *Conn) end() {
	now := time.Now()
	if c.ours == open {
		cork(c.descriptor())
		interrupts := c.theirs == open && !c.pauses(now, now.Sub(c.last.decided))
		c.ours, c.full = told, false
		if err := c.say(now); err == nil && interrupts && c.packet.end > 0 {
			uncork(c.descriptor())
			c.listen()
			return
		}
	}
	c.part()
}

// part ends our side: close_notify and FIN. What fails here, reading will report,
// behind what the provider had written before.
//
// A provider that closes its connection with our end unread answers with a reset, for
// which its kernel throws away what it has not yet put on the wire, and many close it
// when they have read the six bytes. One that was interrupted has much on its way, and
// is given the time to close before our end comes.
func (c *Conn) part() {
	if c.theirs >= fin && c.heard() && (c.holder == kept || finCame(c.descriptor())) {
		c.finish(nil) // it has read all it needs
		return
	}
	c.ours = fin
	err := c.stream.CloseWrite()              // may fail where the provider has closed its socket: see broke
	if c.theirs >= fin && c.packet.end == 0 { // neither is there more to read, nor a packet to hear of
		c.finish(c.untold())
		return
	}
	unix.Shutdown(c.descriptor(), unix.SHUT_WR)
	if c.holder == kept {
		if err != nil {
			c.finish(err)
			return
		}
		c.takeLeave()
		return
	}
	c.heardAt.Store(time.Now().UnixNano())
	c.drained.Store(c.theirs != open)
	c.server.linger(c)
}

// say writes the packet. One Write is one TLS record: split into 1 and 5 bytes,
// node-apn crashes and PHP misses it. A provider that has ended its side gets no
// packet: one that reads on cannot be told from one that has gone.
func (c *Conn) say(now time.Time) error {
	if !c.last.packet || c.theirs >= fin {
		return nil
	}
	var buf [binproto.ResponseSize]byte
	interrupts, before := c.unread(), c.wire.sent
	written, known := writtenTo(c.descriptor())
	if _, err := c.stream.Write(c.last.response.Append(buf[:0])); err != nil {
		return err
	}
	c.packet = packet{at: now, end: c.wire.sent, interrupts: interrupts && known, tcp: written + int64(c.wire.sent-before)}
	c.server.counters.packets.Add(1)
	return nil
}
