package gateway

import (
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/unix"
)

const (
	// quietFor is how long a provider has to be silent before our side ends. If two round
	// trips to it take longer, it is those, up to slowestTrips. A provider that writes its
	// list and goes has closed by then. Otherwise the packet could meet a closed socket,
	// and the reset that answers it would throw away what is still unread.
	quietFor     = 50 * time.Millisecond
	slowestTrips = time.Second

	// catchUp is how many times longer a provider is read that writes faster than we
	// read: its end may be among what is still unread.
	catchUp = 6

	// closeWithin is how long a provider that goes on writing is read before our side
	// ends without a packet.
	closeWithin = time.Second

	// partingWithin is how long our side waits to end after a packet that interrupted the
	// provider: see part.
	partingWithin = 2 * time.Second
)

// lastWord is what our side of a connection ends with.
type lastWord struct {
	packet   bool
	response binproto.Response
	decided  time.Time
	within   time.Duration // for how long the provider is read before that, at most
}

// packet is an error response that was written.
type packet struct {
	at         time.Time
	end        int   // loopWire.sent after it; 0 if none was written
	tcp        int64 // the same position in TCP's count of acknowledged bytes
	interrupts bool  // something was unread when it was written, perhaps the provider's end
}

// instant is a time that may be set, once, while others ask whether it has come.
type instant struct{ nanos atomic.Int64 }

func (i *instant) set(t time.Time) { i.nanos.CompareAndSwap(0, t.UnixNano()) }

func (i *instant) passed(now time.Time) bool {
	at := i.nanos.Load()
	return at != 0 && now.UnixNano() >= at
}

// mayEnd ends our side if that was asked for and the time has come.
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

// quietFor is how long this provider has to be silent.
func (c *Conn) quietFor() time.Duration {
	trip, _ := c.server.roundTrip(c.descriptor())
	return max(quietFor, min(2*trip, slowestTrips))
}

// isTime reports whether our side may end now: the provider has ended its own or pauses in
// writing, or there is no more time or room to wait. As long as something is unread, the
// provider may have gone already, and is given more time.
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
	case c.ours == open && (c.speakBy.passed(now) || c.server.speakBy.passed(now)):
		return true
	case waited >= within:
		return !c.unread()
	default:
		return c.pauses(now, waited)
	}
}

// pauses reports whether the provider has been silent for long enough, within the time
// that we have waited.
func (c *Conn) pauses(now time.Time, waited time.Duration) bool {
	quiet := min(waited, c.silence(now))
	return quiet >= quietFor && quiet >= c.quietFor() && !c.unread()
}

// unread reports whether there is something of the provider's that was not read, or its end.
func (c *Conn) unread() bool {
	fd := c.descriptor()
	return len(c.stash) > 0 || received(fd) > 0 || finCame(fd)
}

// end writes our last word and then ends our side. If the provider pauses, all of this goes
// out in one segment: apns4erl loses what it writes between packet and FIN.
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

// part ends our side with close_notify and FIN. If that fails, reading will report it, once
// it has read everything that the provider wrote before.
//
// A provider that closes its connection while our end is unread answers with a reset, for
// which its kernel throws away what it has not yet put on the wire. Many providers close
// as soon as they have read the six bytes. One that was interrupted has much on its way,
// so it is given the time to close before our end comes.
func (c *Conn) part() {
	if c.theirs >= fin && c.heard() && (c.holder == kept || finCame(c.descriptor())) {
		c.finish(nil) // it has read all it needs
		return
	}
	c.ours = fin
	err := c.stream.CloseWrite()              // may fail if the provider has closed its socket: see broke
	if c.theirs >= fin && c.packet.end == 0 { // there is neither more to read nor a packet to be acknowledged
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

// say writes the packet, in one Write and so in one TLS record: if it comes as 1 and 5
// bytes, node-apn crashes and PHP misses it. A provider that has ended its side gets no
// packet: if it still reads, it cannot be told from one that is gone.
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
