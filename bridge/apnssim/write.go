package apnssim

import (
	"io"
	"time"
)

// maxOut is how much may wait to be written before the reader pauses, in bytes.
const maxOut = 1 << 20

// linger is how long a client may take to end its side after we have ended ours.
const linger = 2 * time.Second

// gather is the shortest time for which the writer waits for what is due, so
// that answers which are due one by one go out together.
const gather = 100 * time.Microsecond

// write sends what has been put into out, and does what is due, until the
// connection ends.
func (c *conn) write() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []byte
	for {
		c.mu.Lock()
		wait := c.tick()
		sending := c.out.bytes
		c.out.bytes = spare[:0]
		c.room.Broadcast()
		finish, gone := c.finish, c.gone
		c.mu.Unlock()

		if len(sending) > 0 && !gone {
			if _, err := c.tls.Write(sending); err != nil {
				c.raw.Close()
				c.quit(nil)
				return
			}
		}
		spare = sending
		switch {
		case gone:
			return
		case finish:
			c.goodbye()
			return
		case len(sending) > 0:
			continue
		}
		timer.Reset(wait)
		select {
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// tick does what is due and says how long nothing else will be.
func (c *conn) tick() time.Duration {
	now := time.Since(c.start)
	for {
		next, ok := c.due.peek()
		if !ok {
			return time.Hour
		}
		if next.at > now {
			return max(next.at-now, gather)
		}
		c.due.pop()
		c.happen(next)
	}
}

// goodbye ends our side in order. The client has linger to end its own, or the
// kernel would answer what it still sends with a reset that may overtake what
// we have written.
func (c *conn) goodbye() {
	c.raw.SetReadDeadline(time.Now().Add(linger))
	c.tls.CloseWrite()
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	} else {
		c.raw.Close()
	}
}

// drain reads what a client still sends after we have ended our side.
func (c *conn) drain() {
	c.mu.Lock()
	finished := c.finish
	c.mu.Unlock()
	if finished {
		io.Copy(io.Discard, c.tls)
	}
}
