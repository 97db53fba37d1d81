package gateway

import (
	"runtime"
	"slices"
	"sync"
)

// computing gives turns to the handshakes that use a processor, as many at a time as there are
// processors. Go's scheduler would run them in order of arrival: in a storm a provider would
// wait twice for the signatures of all others that a port lets run at once, and so would the
// loops with the established connections. Here one source has its turn after the other, and of
// each source the handshake that has asked last. The handshakeQueue has decided before which
// handshakes may run, and how many.
type computing struct {
	mu      sync.Mutex
	free    int
	sources []source // those with a handshake that waits, in the order of their turns
	waiting map[source][]chan struct{}
}

func newComputing() *computing {
	return &computing{free: runtime.GOMAXPROCS(0), waiting: make(map[source][]chan struct{})}
}

// begin waits for a turn.
func (c *computing) begin(from source) {
	c.mu.Lock()
	if c.free > 0 {
		c.free--
		c.mu.Unlock()
		return
	}
	if len(c.waiting[from]) == 0 {
		c.sources = append(c.sources, from)
	}
	turn := make(chan struct{})
	c.waiting[from] = append(c.waiting[from], turn)
	c.mu.Unlock()
	<-turn
}

// end ends a turn: the handshake is done, or waits for its client.
func (c *computing) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sources) == 0 {
		c.free++
		return
	}
	from := c.sources[0]
	c.sources = slices.Delete(c.sources, 0, 1)
	of := c.waiting[from]
	last := len(of) - 1
	close(of[last])
	if last == 0 {
		delete(c.waiting, from)
		return
	}
	c.waiting[from] = of[:last]
	c.sources = append(c.sources, from)
}
