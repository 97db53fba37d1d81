package apnssim

import (
	"time"

	"golang.org/x/net/http2"
)

// stream is a request and its answer. It is used again for a later one.
type stream struct {
	id      uint32
	request request

	size  int    // of the body so far
	body  []byte // what is kept of it
	ended bool   // the request is complete
	left  int    // of the window, what the client may still send
	owed  int    // what was read and not yet given back

	answer   answer
	sendLeft int
	waiting  bool // in conn.blocked
	due      bool // in conn.due
	closed   bool
}

// maxBody is how much of a body is kept, in bytes, and largeBuffer the size
// from which its buffer is not used again.
const (
	maxBody     = 64 << 10
	largeBuffer = 8 << 10
)

func (s *stream) keep(piece []byte) {
	s.body = append(s.body, piece[:min(len(piece), maxBody-len(s.body))]...)
}

// open begins the stream of the block that was just read.
func (c *conn) open(id uint32) *stream {
	var s *stream
	if last := len(c.free) - 1; last >= 0 {
		s, c.free = c.free[last], c.free[:last]
	} else {
		s = new(stream)
	}
	*s = stream{id: id, request: c.block.request, body: s.body[:0], left: c.opening, sendLeft: c.sendOpening}
	c.streams[id] = s
	c.sim.counts.streams.Add(1)
	raise(&c.sim.counts.peakStreams, int64(len(c.streams)))
	return s
}

// remove ends a stream. If it was the last one of a connection that is to go,
// the connection goes.
func (c *conn) remove(s *stream) {
	delete(c.streams, s.id)
	s.closed = true
	c.sim.counts.streams.Add(-1)
	c.recycle(s)
	if c.leaving && len(c.streams) == 0 {
		c.finish = true
		c.touch()
	}
}

// recycle keeps a closed stream for another request, once nothing holds it.
func (c *conn) recycle(s *stream) {
	if !s.closed || s.due || s.waiting {
		return
	}
	if cap(s.body) > largeBuffer {
		s.body = nil
	}
	c.free = append(c.free, s)
}

// abort resets a stream, whether or not there is one.
func (c *conn) abort(id uint32, code http2.ErrCode) {
	c.framer.WriteRSTStream(id, code)
	c.past.aborted(id)
	if s := c.streams[id]; s != nil {
		c.remove(s)
	}
}

// credit notes that bytes of the connection's window have been read. They are
// given back by the half window, so that a push does not cost a frame.
func (c *conn) credit(size int) {
	if c.owed += size; c.owed < c.receive/2 {
		return
	}
	owed := c.owed
	c.owed = 0
	if delay := c.script.creditDelay; delay > 0 {
		c.later(event{what: returnCredit, credit: owed}, delay)
		return
	}
	c.giveBack(owed)
}

func (c *conn) giveBack(owed int) {
	c.left += owed
	c.framer.WriteWindowUpdate(0, uint32(owed))
}

// refill does the same for a stream whose request is not complete.
func (c *conn) refill(s *stream, size int) {
	if s.owed += size; s.owed < max(c.opening/2, 1) {
		return
	}
	s.left += s.owed
	c.framer.WriteWindowUpdate(s.id, uint32(s.owed))
	s.owed = 0
}

// later has e happen after delay.
func (c *conn) later(e event, delay time.Duration) {
	e.at = time.Since(c.start) + delay
	if e.stream != nil {
		e.stream.due = true
	}
	if c.due.push(e) {
		c.touch()
	}
}

// happen does what was put off with later.
func (c *conn) happen(e event) {
	switch e.what {
	case answerStream:
		e.stream.due = false
		if e.stream.closed {
			c.recycle(e.stream)
			return
		}
		c.advance(e.stream)
	case returnCredit:
		c.giveBack(e.credit)
	case fixLastStream:
		c.goAway(c.maxID)
	}
}
