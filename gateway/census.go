package gateway

import (
	"maps"
	"net/netip"
	"sync"
)

// source is what a bound per address counts for: an IPv4 address, or the /64 that
// one IPv6 subscriber has.
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

// unknown is the source of connections whose PROXY header has not come yet. It has no
// bound of its own, for all of them may come through one program.
var unknown source

// place is what a connection is counted as. Only a census changes it.
type place struct {
	from   source
	client string // "" if it is not known, or not counted
	tls    uint16 // the version, once joined; 0: none
	app    string // once joined
	joined bool   // its client is admitted
	waits  bool   // it does not count for its source: see wait
	left   bool
}

// census counts connections, in all, by source, by client and by app.
type census struct {
	max, maxPerSource, maxPerClient int

	share int // of max: what every app is entitled to
	spare int // beyond max: for handshakes of clients whose app may be entitled to more

	mu       sync.Mutex
	total    int
	joined   int // of total: with an admitted client
	bySource map[source]int
	byClient map[string]int
	byApp    map[string]int    // of joined
	byTLS    map[uint16]int    // of joined, by version
	admitted map[uint16]uint64 // since the start, by version
}

func newCensus(l Limits) *census {
	return &census{
		max:          l.Connections,
		maxPerSource: l.ConnectionsPerAddress,
		maxPerClient: l.ConnectionsPerClient,
		share:        max(1, l.Connections*l.AppConnectionsShare/100),
		spare:        l.Handshakes,
		bySource:     make(map[source]int),
		byClient:     make(map[string]int),
		byApp:        make(map[string]int),
		byTLS:        make(map[uint16]int),
		admitted:     make(map[uint16]uint64),
	}
}

type verdict uint8

const (
	welcome verdict = iota
	tooMany
	tooManyOfSource
	tooManyOfClient
)

// enter counts one more connection, if the bounds allow it. force ignores the bounds:
// another connection's place is about to become free.
func (c *census) enter(p *place, force bool) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.fullOf(p.from) && !force:
		return tooManyOfSource
	case c.total >= c.max && !force:
		return tooMany
	}
	c.total++
	c.bySource[p.from]++
	return welcome
}

// enterBeyond counts one more connection when admitted clients have all places, and some
// app has more than its share: the new one may be of an app that has less.
func (c *census) enterBeyond(p *place) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.max+c.spare || len(c.beyond()) == 0 {
		return tooMany
	}
	c.total++
	c.bySource[p.from]++
	return welcome
}

func (c *census) fullOf(from source) bool {
	return from != unknown && c.bySource[from] >= c.maxPerSource
}

// reveal counts a connection that entered as unknown for its real source. It reports
// whether the bounds allow that.
func (c *census) reveal(p *place, from source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.fullOf(from)
	decrease(c.bySource, p.from)
	p.from = from
	c.bySource[from]++
	return !full
}

// wait stops counting an admitted connection for its source, until goOn. The connection waits
// for us and not we for it: the program that opened it may have written, gone, and opened the
// next one.
func (c *census) wait(p *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.waits && !p.left {
		p.waits = true
		decrease(c.bySource, p.from)
	}
}

// goOn counts a connection that has waited for its source again, even beyond the bound.
func (c *census) goOn(p *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waits && !p.left {
		p.waits = false
		c.bySource[p.from]++
	}
}

// fullOfClient reports whether one more of the client would be too many.
func (c *census) fullOfClient(client string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return client != "" && c.byClient[client] >= c.maxPerClient
}

// join counts a connection that has entered for its client, its app and its version of TLS,
// if the bounds allow it. The verdict is tooMany if a connection of an app with more than its
// share has to give way first.
func (c *census) join(p *place, client, app string, version uint16) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case client != "" && c.byClient[client] >= c.maxPerClient:
		return tooManyOfClient
	case c.joined >= c.max:
		return tooMany
	}
	c.joined++
	c.byApp[app]++
	c.byTLS[version]++
	c.admitted[version]++
	if client != "" {
		c.byClient[client]++
	}
	p.client, p.app, p.tls, p.joined = client, app, version, true
	return welcome
}

// owed reports whether an app has less than its share.
func (c *census) owed(app string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return app != "" && c.byApp[app] < c.share
}

// excess is how many connections of each app are beyond its share.
func (c *census) excess() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beyond()
}

func (c *census) beyond() map[string]int {
	beyond := make(map[string]int)
	for app, n := range c.byApp {
		if app != "" && n > c.share {
			beyond[app] = n - c.share
		}
	}
	return beyond
}

// leave stops counting a connection. Only the first call for a place has an effect.
func (c *census) leave(p *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.left {
		return
	}
	p.left = true
	c.total--
	if !p.waits {
		decrease(c.bySource, p.from)
	}
	if !p.joined {
		return
	}
	c.joined--
	decrease(c.byApp, p.app)
	decrease(c.byTLS, p.tls)
	if p.client != "" {
		decrease(c.byClient, p.client)
	}
}

func decrease[K comparable](by map[K]int, k K) {
	if by[k]--; by[k] == 0 {
		delete(by, k)
	}
}

// figures fills in the figures that the census has.
func (c *census) figures(s *PortStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Connections, s.Open, s.Admitted = c.total, maps.Clone(c.byTLS), maps.Clone(c.admitted)
	for from, n := range c.bySource {
		if from != unknown {
			s.ConnectionsOfBusiest = max(s.ConnectionsOfBusiest, n)
		}
	}
	for _, n := range c.byClient {
		s.ConnectionsOfBusiestClient = max(s.ConnectionsOfBusiestClient, n)
	}
	for _, n := range c.byApp {
		s.ConnectionsOfBusiestApp = max(s.ConnectionsOfBusiestApp, n)
	}
}
