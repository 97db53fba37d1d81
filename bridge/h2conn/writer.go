package h2conn

import (
	"fmt"
	"runtime"

	"golang.org/x/net/http2"
)

// write hands frames to the network until the connection is closed and its last
// ones are out. It is the only one that writes.
func (c *Conn) write() {
	var empty []byte
	for {
		c.mu.Lock()
		c.m.health.write = 0
		for len(c.m.out) == 0 && c.m.state != Closed {
			c.wake.Wait()
		}
		last := c.m.state == Closed
		if !last && c.m.isLoaded() {
			c.gather()
		}
		b := c.m.handOver(empty)
		c.m.health.write = c.now()
		c.m.stats.Flushes++
		room := c.m.refill.wanted && c.m.room() > 0
		c.mu.Unlock()
		err := c.trunk.writeAll(c.nc, b)
		if last || err != nil {
			c.hangUp(err)
			return
		}
		if empty = b; cap(empty) > maxKeptBuffer {
			empty = nil
		}
		if room { // in the buffer
			c.deliver()
		}
	}
}

// enough bytes are waiting to fill a TLS record well.
const enough = 8 << 10

// isLoaded reports whether so much is under way that fewer and larger writes are worth more
// than the moment that a request waits for them.
func (m *machine) isLoaded() bool { return m.open > m.limit()/8 }

// gather lets those who are about to submit more do so first, as long as little
// is waiting and it grows. It goes to the end of all that the processors have to do:
// where that comes in bursts, half a millisecond for one request in a hundred.
func (c *Conn) gather() {
	for range 4 {
		before := len(c.m.out)
		if before >= enough {
			return
		}
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		if len(c.m.out) == before {
			return
		}
	}
}

// hangUp closes the network connection: with TLS's farewell, unless nothing can
// be written any more.
func (c *Conn) hangUp(err error) {
	if err == nil {
		err = c.nc.Close()
	}
	c.trunk.Close()
	c.end(http2.ErrCodeNo, fmt.Errorf("h2conn: connection lost: %w", err))
	c.mu.Lock()
	c.leave()
	c.mu.Unlock()
}
