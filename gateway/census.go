package gateway

import (
	"net/netip"
	"sync"
)

// source is the address that a bound per address is counted for: an IPv4
// address, or the /64 that one IPv6 subscriber has.
type source netip.Addr

func sourceOf(a netip.Addr) source {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, err := a.Prefix(64)
		if err == nil {
			a = p.Addr()
		}
	}
	return source(a)
}

// census counts connections, in all and by source.
type census struct {
	max, maxPerSource int

	mu    sync.Mutex
	total int
	by    map[source]int
}

type verdict uint8

const (
	welcome verdict = iota
	tooMany
	tooManyOfSource
)

// enter counts one more, if the bounds allow it. force lets it over max: the
// place of another is about to become free.
func (c *census) enter(from source, force bool) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.by[from] >= c.maxPerSource:
		return tooManyOfSource
	case c.total >= c.max && !force:
		return tooMany
	}
	c.total++
	c.by[from]++
	return welcome
}

func (c *census) leave(from source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[from]--; c.by[from] == 0 {
		delete(c.by, from)
	}
}

// of is how many there are of one source.
func (c *census) of(from source) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[from]
}

func (c *census) figures() (total, busiest int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.by {
		busiest = max(busiest, n)
	}
	return c.total, busiest
}
