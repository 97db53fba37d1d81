package gateway

import (
	"errors"
	"io"
	"time"

	"apnsbridge/binproto"
)

// receive takes what was read from the descriptor. It borrows raw until it returns.
func (c *Conn) receive(raw []byte) {
	c.server.counters.bytesIn.Add(uint64(len(raw)))
	if c.theirs != open {
		return
	}
	c.heardAt.Store(time.Now().UnixNano())
	c.wire.raw = raw
	c.pump()
	if c.ours < fin && c.last != nil && c.isTime() {
		if c.end(); c.ours != reset {
			c.pump() // for what there was no room before
		}
	}
	rest := c.wire.raw
	c.wire.raw = nil
	if c.full {
		c.stash = append([]byte(nil), rest...)
		c.park()
		if finCame(c.descriptor()) {
			c.session.ReadOn()
		}
	}
	c.countHeld()
}

// pump decrypts, and gives frames to the session until there is nothing more to read, or
// no more room.
func (c *Conn) pump() {
	plain := c.scratch.plain
	start, end := 0, copy(plain, c.partial)
	c.partial = c.partial[:0] // what is left of it is kept, or cut, below
	var err error
	for {
		start += c.parse(plain[start:end])
		if c.full || c.theirs != open {
			break
		}
		if err != nil { // only now: the last bytes may have come with it
			c.readEnded(err)
			break
		}
		if len(plain)-end < maxPlaintext {
			end = copy(plain, plain[start:end])
			start = 0
		}
		var n int
		n, err = c.stream.Read(plain[end:])
		end += n
	}
	if c.theirs != open || c.ours == reset {
		c.cut(plain[start:end])
		return
	}
	c.keep(plain[start:end])
}

// readEnded is called with the error that crypto/tls returns instead of bytes. errWouldBlock
// is our own, and temporary; all others stay with the tls.Conn and come again.
func (c *Conn) readEnded(err error) {
	switch {
	case err == error(errWouldBlock):
	case isEOF(err):
		c.nothingMore(fin)
	default:
		c.broke(err)
	}
}

// isEOF reports whether err stands for close_notify or FIN, even within a TLS record.
func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// parse gives the frames in b to the session, and returns how many bytes they had.
func (c *Conn) parse(b []byte) (used int) {
	note := &c.scratch.note
	frames, rejected := 0, 0
loop:
	for used < len(b) {
		size, err := c.next(b[used:], note)
		used += size
		room := true
		switch e := err.(type) {
		case nil:
			frames++
			room = c.session.Push(note)
		case binproto.Status:
			frames++
			rejected++
			room = c.session.Reject(note, e)
		case binproto.Violation:
			c.unreadable(e, b[used-size:])
			break loop
		default:
			if err == binproto.ErrLarge {
				c.large = c.parser.Large()
				c.server.counters.large.Add(1)
				continue
			}
			break loop
		}
		if !room && c.ours == open {
			c.full = true
			break
		}
	}
	if frames > 0 {
		c.framed = true
		c.server.counters.frames.Add(uint64(frames))
		c.server.counters.rejected.Add(uint64(rejected))
	}
	return used
}

// next reads the frame at the start of b, or goes on with a large one.
func (c *Conn) next(b []byte, note *binproto.Notification) (size int, err error) {
	if c.large == nil {
		return c.parser.Parse(b, note)
	}
	size, err = c.large.Feed(b, note)
	if err != binproto.ErrShort {
		c.large = nil // note still borrows its memory
	}
	return size, err
}

// unreadable ends a stream in which the next frame cannot be found. To the session this is
// the provider's end: what came before it is still settled.
func (c *Conn) unreadable(v binproto.Violation, b []byte) {
	c.server.counters.violation(v)
	e := c.server.front.often.Warn().Stringer("address", c.remote).Err(v)
	if v == binproto.UnknownCommand {
		e = e.Uint8("command", b[0])
		if speaks, remedy := c.misled(b); remedy != "" {
			e = e.Str("speaks", speaks).Str("remedy", remedy)
		}
	}
	e.Msg("the stream cannot be read further")
	c.nothingMore(garbled)
}

// keep saves the part of a frame that the scratch buffer ends with.
func (c *Conn) keep(rest []byte) {
	if len(rest) == 0 {
		c.partial = nil
		return
	}
	c.partial = append(c.partial[:0], rest...)
}

// cut throws away the part of a frame with which the stream has ended.
func (c *Conn) cut(rest []byte) {
	if len(rest) > 0 || c.large != nil {
		c.server.counters.cut.Add(1)
	}
	c.partial, c.large, c.stash = nil, nil, nil
}

func (c *Conn) countHeld() {
	held := len(c.partial) + len(c.stash)
	if held != c.held {
		c.server.counters.unparsed.Add(int64(held - c.held))
		c.held = held
	}
}
