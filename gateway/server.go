package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"

	"apnsbridge/binproto"
)

// Opener makes the session of a connection whose handshake is done, and gives the parser
// with the bounds for its frames. c may be used from then on. The Session's methods are
// called only after Opener has returned.
type Opener func(c *Conn) (Session, binproto.Parser)

// Config says how a Server works.
type Config struct {
	Port

	// Admit decides about a client during its handshake, even when the client resumes a
	// TLS session. An error refuses the client with a TLS alert; its text goes to the
	// log. Admit is called from several goroutines.
	Admit func(*Hello) (Opener, error)

	// Loops is the number of event loops; by default two, or one if there are no more
	// than two processors (GOMAXPROCS). A loop that waits keeps the Go scheduler from
	// using its processor for up to 10 ms, so another processor must be left.
	Loops int

	briefly time.Duration // in tests: instead of the constant
}

// Server is the push port.
type Server struct {
	front     *front
	client    *gnet.Client
	counters  counters
	roundTrip func(fd int) (trip time.Duration, ok bool) // the kernel's, except in tests
	briefs    *briefs
	speakBy   instant // of all connections

	mu        sync.Mutex
	loops     map[gnet.EventLoop]*loop
	conns     map[*Conn]struct{}
	lingering map[*Conn]time.Time // since when each of them lingers
	pressed   int                 // of conns: those whose places were given to others
	draining  bool                // Shutdown was called
	closing   bool                // Close was called
	gone      *sync.Cond

	scratch    sync.Pool // of *scratch, for connections that have no loop yet
	enrolling  sync.WaitGroup
	stopSweep  chan struct{}
	sweepEnded chan struct{}
	closeOnce  sync.Once
	closeErr   error
}

// NewServer opens the endpoints. Serve accepts connections. Close must be called in any
// case.
func NewServer(c Config) (*Server, error) {
	s := &Server{
		loops:      make(map[gnet.EventLoop]*loop),
		conns:      make(map[*Conn]struct{}),
		lingering:  make(map[*Conn]time.Time),
		roundTrip:  roundTrip,
		stopSweep:  make(chan struct{}),
		sweepEnded: make(chan struct{}),
	}
	s.gone = sync.NewCond(&s.mu)
	s.scratch.New = func() any { room := newScratch(32<<10, 8<<10); return &room }
	var err error
	s.front, err = newFront(c.Port, func(h *Hello) (func(*arrival), error) {
		open, err := c.Admit(h)
		if err != nil {
			return nil, err
		}
		remote := h.Remote
		return func(a *arrival) { s.welcome(a, remote, open) }, nil
	})
	if err != nil {
		return nil, err
	}
	s.front.relieve, s.front.yield = s.relieve, s.yield
	s.briefs = &briefs{max: s.front.limits.Handshakes, within: cmp.Or(c.briefly, briefly),
		reading: make(map[*net.TCPConn]bool)}
	if c.Loops <= 0 {
		c.Loops = max(1, min(2, runtime.GOMAXPROCS(0)-1))
	}
	s.client, err = gnet.NewClient(&handler{server: s},
		gnet.WithNumEventLoop(c.Loops),
		gnet.WithReadBufferCap(s.front.limits.readBuffer()),
		gnet.WithLogger(gnetLogger{c.Logger}))
	if err == nil {
		err = s.client.Start()
	}
	if err != nil {
		s.front.abort()
		return nil, fmt.Errorf("gateway: event loops: %w", err)
	}
	go s.sweep()
	return s, nil
}

// Addrs are the addresses listened on, in the order of the endpoints.
func (s *Server) Addrs() []net.Addr { return s.front.addrs() }

// Addr is the first of Addrs.
func (s *Server) Addr() net.Addr { return s.front.addrs()[0] }

// Serve accepts connections until Shutdown or Close and then returns
// ErrServerClosed, at once.
func (s *Server) Serve() error { return s.front.serve() }

// Shutdown stops accepting, waits until every handshake has ended and the owner's
// sessions have ended every connection, and then does what Close does. A connection that
// we have ended but its provider has not is waited for until it has been silent for
// LingerPressed. When three quarters of ctx's time are over, no last word waits for a
// pause of its provider any more, which has the rest to read it.
//
// If ctx ends while there are connections, Shutdown returns its error, and Close is to be
// called. Handshakes that are still under way then are no failure.
func (s *Server) Shutdown(ctx context.Context) error {
	s.front.stop()
	if deadline, ok := ctx.Deadline(); ok {
		s.speakBy.set(time.Now().Add(time.Until(deadline) / 4 * 3))
	}
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.front.running.Wait()
		s.waitEmpty()
		close(done)
	}()
	select {
	case <-done:
		return s.Close()
	case <-ctx.Done():
		if open := s.open(); open > 0 {
			return fmt.Errorf("gateway: connections that are not ended: %d: %w", open, ctx.Err())
		}
		return s.Close()
	}
}

// open is how many connections there are.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close ends everything at once: listeners, handshakes and all connections, including
// those that are parked, lingering, or half closed. Their sessions get ErrServerClosed.
// Close returns when all descriptors and goroutines are gone.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.front.abort()
		s.mu.Lock()
		s.closing = true
		for c := range s.conns {
			c.abort(ErrServerClosed)
		}
		s.mu.Unlock()
		s.waitEmpty()
		s.enrolling.Wait()
		close(s.stopSweep)
		<-s.sweepEnded
		if err := s.client.Stop(); err != nil {
			s.closeErr = fmt.Errorf("gateway: event loops: %w", err)
		}
		for _, l := range s.loops {
			l.close()
		}
	})
	return s.closeErr
}

func (s *Server) waitEmpty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.gone.Wait()
	}
}

// add makes c one of the connections that Close ends.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *Conn) {
	s.front.census.leave(c.place)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lingering, c)
	if _, there := s.conns[c]; there && c.pressed.Load() {
		s.pressed--
	}
	delete(s.conns, c)
	if len(s.conns) == 0 {
		s.gone.Broadcast()
	}
}
