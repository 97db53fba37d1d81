package apnssim

import (
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// answer is what goes back on a stream.
type answer struct {
	status int
	id     string // apns-id
	unique string // apns-unique-id, which the sandbox has; else empty
	body   []byte // what is left of it
	begun  bool   // the headers are out
	piece  int    // bytes of the body that go out at once; 0: all
	pause  time.Duration
}

// advance sends as much of a stream's answer as its windows and its pace allow.
func (c *conn) advance(s *stream) {
	a := &s.answer
	if !a.begun {
		a.begun = true
		c.writeHeaders(s)
		c.throttle(a.status)
		if a.piece > 0 && len(a.body) > 0 {
			c.later(event{what: answerStream, stream: s}, a.pause)
			return
		}
	}
	for len(a.body) > 0 {
		n := min(len(a.body), s.sendLeft, c.sendLeft, c.sendFrame)
		if a.piece > 0 {
			n = min(n, a.piece)
		}
		if n <= 0 {
			s.waiting = true
			c.blocked = append(c.blocked, s)
			return
		}
		c.framer.WriteData(s.id, n == len(a.body), a.body[:n])
		a.body = a.body[n:]
		s.sendLeft -= n
		c.sendLeft -= n
		if a.piece > 0 && len(a.body) > 0 {
			c.later(event{what: answerStream, stream: s}, a.pause)
			return
		}
	}
	c.finished(s)
}

// finished ends a stream whose answer is out.
func (c *conn) finished(s *stream) {
	if r := c.script.Resets; r != nil && r.When == Finished && draw(c.lots, r.Probability) {
		c.sim.counts.resets.Add(1)
		c.framer.WriteRSTStream(s.id, c.script.resetCode)
	}
	c.remove(s)
}

// unblock goes on with the answers that waited for a window.
func (c *conn) unblock() {
	if len(c.blocked) == 0 {
		return
	}
	waiting := c.blocked
	c.blocked = nil
	for _, s := range waiting {
		s.waiting = false
		if s.closed {
			c.recycle(s)
			continue
		}
		c.advance(s)
	}
}

// writeHeaders encodes without HPACK's dynamic table, so that there is no state
// to keep.
func (c *conn) writeHeaders(s *stream) {
	var room [80]byte
	block := room[:0]
	if c.tableChanged {
		// RFC 7541, 4.2: a changed limit is acknowledged in the next block.
		// Ours is 0, whatever the client allows.
		block = append(block, 0x20)
		c.tableChanged = false
	}
	block = appendStatus(block, s.answer.status)
	block = appendField(block, "apns-id", s.answer.id)
	if s.answer.unique != "" {
		block = appendField(block, "apns-unique-id", s.answer.unique)
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      s.id,
		BlockFragment: block,
		EndHeaders:    true,
		EndStream:     len(s.answer.body) == 0,
	})
}

// appendStatus appends :status, from the static table where it is there (RFC
// 7541, appendix A), else as a literal that is not to be indexed.
func appendStatus(b []byte, status int) []byte {
	switch status {
	case 200:
		return append(b, 0x88)
	case 400:
		return append(b, 0x8c)
	case 404:
		return append(b, 0x8d)
	case 500:
		return append(b, 0x8e)
	}
	return strconv.AppendInt(append(b, 0x08, 3), int64(status), 10)
}

// appendField appends a literal that is not to be indexed, with a name and a
// value of less than 127 bytes (RFC 7541, 6.2.2).
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, 0, byte(len(name))), name...)
	return append(append(b, byte(len(value))), value...)
}
