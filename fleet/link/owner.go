package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"apnsbridge/binproto"
)

// Handler is what an owner does with what is carried to it. origin is what the entry gave to Open
// or Read; it is borrowed.
type Handler interface {
	// Open opens the session of a provider's connection, as bridge.Open does, and
	// returns the bounds of its frames. p may be cut at any time.
	Open(node string, p Provider, origin []byte) (Session, binproto.Parser, error)

	// Read gives a feedback list to r and returns when that is done.
	Read(ctx context.Context, node string, origin []byte, r Reader)
}

// Owner is the end of all links at the node where apps live.
type Owner struct {
	config  Config
	handler Handler

	open atomic.Int64 // sessions and readers that are open

	mu        sync.Mutex
	ends      bool
	conns     map[*ownerConn]struct{}
	strangers []*ownerConn // those of conns that have not shown yet who they are; oldest first
	wg        sync.WaitGroup
}

// NewOwner returns an owner that does not serve a listener yet.
func NewOwner(c Config, h Handler) *Owner {
	return &Owner{config: c.withDefaults(), handler: h, conns: make(map[*ownerConn]struct{})}
}

const (
	// maxLinks is how many links there may be to one node. Each other node has one, and a
	// second while it finds out that the first is dead.
	maxLinks = 256

	// maxStrangers is how many connections may be open that have not shown yet that they belong
	// to the fleet. One more ends the oldest, so that connections that never do cannot keep a node away.
	maxStrangers = 64
)

// Serve accepts links from l until that is closed or fails.
func (o *Owner) Serve(l net.Listener) error {
	for {
		raw, err := l.Accept()
		if err != nil {
			return err
		}
		o.welcome(raw)
	}
}

func (o *Owner) welcome(raw net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ends {
		raw.Close()
		return
	}
	if len(o.strangers) == maxStrangers {
		o.strangers[0].fail(errStrangers)
		o.strangers = o.strangers[1:]
	}
	c := &ownerConn{
		owner: o, sessions: make(map[uint32]*owned), readers: make(map[uint32]*reader), ready: make(chan struct{}, 1),
	}
	c.conn = newConn(o.config, tls.Server(raw, serverTLS(o.config.Certificate, o.config.CA)), maxControl)
	o.conns[c] = struct{}{}
	o.strangers = append(o.strangers, c)
	o.wg.Go(func() {
		c.serve()
		raw.Close()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.conns, c)
	})
}

// met takes note that c has shown who it is, or has ended without doing so. It reports whether
// there may be another link.
func (o *Owner) met(c *ownerConn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.strangers = slices.DeleteFunc(o.strangers, func(s *ownerConn) bool { return s == c })
	return len(o.conns)-len(o.strangers) <= maxLinks
}

// States are the states that the nodes at the other ends last sent, by node name.
func (o *Owner) States() map[string]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	states := make(map[string]byte)
	for c := range o.conns {
		if c.greeted.Load() {
			states[c.node] = byte(c.state.Load())
		}
	}
	return states
}

// Tell sends our state to all nodes at the other ends at once, ahead of its time.
func (o *Owner) Tell() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		if c.greeted.Load() {
			c.tell()
		}
	}
}

// Open returns how many sessions and readers are carried here.
func (o *Owner) Open() int { return int(o.open.Load()) }

// Close ends all links and waits until their sessions are closed.
func (o *Owner) Close() {
	o.mu.Lock()
	o.ends = true
	for c := range o.conns {
		c.fail(errClosed)
	}
	o.mu.Unlock()
	o.wg.Wait()
}

// serve handles the messages of an entry until the link ends.
func (c *ownerConn) serve() {
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Handshake)
	err := c.tls.HandshakeContext(ctx)
	cancel()
	if err == nil {
		err = c.greet()
	}
	if room := c.owner.met(c); err == nil && !room {
		err = errLinks
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.greeted.Store(true)
	var goingOn sync.WaitGroup
	goingOn.Go(c.goOn)
	c.run(c.take, c.payBack)
	goingOn.Wait()
	c.reading.Wait()
	for _, s := range c.sessions {
		s.mu.Lock()
		s.close(c.reason())
		s.mu.Unlock()
	}
}

// take handles a message of the entry.
func (c *ownerConn) take(h header, body []byte) error {
	switch h.kind {
	case open:
		return c.open(h.session, body)
	case read:
		return c.openReader(h.session, body)
	case written, finished:
		return c.answered(h, body)
	case push, reject, readOn, shutdown, closed, leave:
	default:
		return fmt.Errorf("link: a message of kind %d of an entry", h.kind)
	}
	s := c.sessions[h.session]
	if s == nil {
		c.lack(h.session, errors.New("no such session"))
		return nil
	}
	s.mu.Lock()
	err := s.take(h, body)
	s.mu.Unlock()
	if h.kind == closed && err == nil {
		delete(c.sessions, h.session)
	}
	return err
}

// lack tells the entry that there is no session with that number.
func (c *ownerConn) lack(number uint32, why error) {
	c.mu.Lock()
	c.pending = appendText(c.pending, gone, number, nil, why)
	c.unlock()
}

func (c *ownerConn) open(number uint32, origin []byte) error {
	switch {
	case number == 0 || c.sessions[number] != nil || c.readers[number] != nil:
		return fmt.Errorf("link: session %d is opened twice", number)
	case len(origin) > maxOrigin:
		return fmt.Errorf("link: an origin of %d bytes; %d are the most", len(origin), maxOrigin)
	case len(c.sessions) >= c.config.Sessions:
		c.lack(number, fmt.Errorf("%d sessions are the most", c.config.Sessions))
		return nil
	}
	s := &owned{conn: c, number: number}
	s.mu.Lock() // Resume may come before Open has returned
	defer s.mu.Unlock()
	session, parser, err := c.owner.handler.Open(c.node, s, origin)
	if err != nil {
		c.lack(number, err)
		return nil
	}
	s.session, s.parser = session, parser
	c.owner.open.Add(1)
	c.sessions[number] = s
	return nil
}
