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

// unknown is the source of connections whose PROXY header has not come. As many
// as the port takes may be on their way through one program.
var unknown source

// place is what a connection is counted as.
type place struct {
	from   source
	client string // "" if it is not known, or of no interest
}

// census counts connections, in all, by source, and by client.
type census struct {
	max, maxPerSource, maxPerClient int

	mu       sync.Mutex
	total    int
	bySource map[source]int
	byClient map[string]int
}

func newCensus(l Limits) *census {
	return &census{
		max:          l.Connections,
		maxPerSource: l.ConnectionsPerAddress,
		maxPerClient: l.ConnectionsPerClient,
		bySource:     make(map[source]int),
		byClient:     make(map[string]int),
	}
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
	case c.fullOf(from):
		return tooManyOfSource
	case c.total >= c.max && !force:
		return tooMany
	}
	c.total++
	c.bySource[from]++
	return welcome
}

func (c *census) fullOf(from source) bool {
	return from != unknown && c.bySource[from] >= c.maxPerSource
}

// reveal counts one that entered as unknown as from another source, if the
// bounds allow it.
func (c *census) reveal(from source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fullOf(from) {
		return false
	}
	decrease(c.bySource, unknown)
	c.bySource[from]++
	return true
}

// fullOfClient says whether one more of the client would be too many.
func (c *census) fullOfClient(client string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return client != "" && c.byClient[client] >= c.maxPerClient
}

// join counts one that has entered as the client's, if the bounds allow it.
func (c *census) join(client string) bool {
	if client == "" {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byClient[client] >= c.maxPerClient {
		return false
	}
	c.byClient[client]++
	return true
}

func (c *census) leave(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	decrease(c.bySource, p.from)
	if p.client != "" {
		decrease(c.byClient, p.client)
	}
}

func decrease[K comparable](by map[K]int, k K) {
	if by[k]--; by[k] == 0 {
		delete(by, k)
	}
}

// of is how many there are of one source.
func (c *census) of(from source) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bySource[from]
}

// figures fills in what is known here.
func (c *census) figures(s *PortStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Connections = c.total
	for from, n := range c.bySource {
		if from != unknown {
			s.ConnectionsOfBusiest = max(s.ConnectionsOfBusiest, n)
		}
	}
	for _, n := range c.byClient {
		s.ConnectionsOfBusiestClient = max(s.ConnectionsOfBusiestClient, n)
	}
}
