package gateway

import (
	"net/netip"

	"github.com/panjf2000/gnet/v2"
	"github.com/rs/zerolog"

	"apnsbridge/binproto"
)

// loop is what the connections of one event loop share, one at a time.
type loop struct {
	gnet.EventLoop
	scratch
	spare int // a descriptor to be closed when another one is needed; -1 if there is none
}

// scratch is the memory that a connection is read with.
type scratch struct {
	plain []byte // what crypto/tls has decrypted
	raw   []byte // what was read from a descriptor that gnet does not watch
	note  binproto.Notification
}

func newScratch(plain, raw int) scratch {
	return scratch{plain: make([]byte, plain), raw: make([]byte, raw)}
}

func (s *Server) loopOf(el gnet.EventLoop) *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loops[el]
	if l == nil {
		l = &loop{EventLoop: el, scratch: newScratch(64<<10, s.front.limits.readBuffer()), spare: spareDescriptor()}
		s.loops[el] = l
	}
	return l
}

// anyLoop gives some loop; nil until one has had a connection.
func (s *Server) anyLoop() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loops {
		return l
	}
	return nil
}

// welcome opens the session of a connection and gives it to a loop.
func (s *Server) welcome(a *arrival, remote netip.AddrPort, open Opener) {
	c := newConn(s, a, remote)
	c.session, c.parser = open(c)
	if !s.add(c) {
		a.tcp.Close()
		s.front.census.leave(c.place)
		c.session.Close(ErrServerClosed)
		return
	}
	if c.readBriefly(a.tcp) {
		return
	}
	a.tcp.SetKeepAliveConfig(keepAlive)
	if _, err := s.client.EnrollContext(a.tcp, c); err != nil || !c.opened() {
		s.front.often.Warn().Err(err).Stringer("address", remote).Msg("no event loop took the connection")
		c.finish(errNotEnrolled)
	}
}

// handler is what gnet calls, always on the connection's loop. Its methods return
// gnet.Close if gnet is not to watch the descriptor any longer.
type handler struct {
	gnet.BuiltinEventEngine
	server *Server
}

func (h *handler) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	c := gc.Context().(*Conn)
	c.beginCall()
	c.attach(gc)
	c.endCall()
	return nil, c.actionFor(gc)
}

func (h *handler) OnTraffic(gc gnet.Conn) gnet.Action {
	c := gc.Context().(*Conn)
	if c.gnet != gc {
		return gnet.Close
	}
	raw, err := gc.Next(-1)
	if err != nil {
		c.finish(err)
		return gnet.Close
	}
	c.beginCall()
	c.receive(raw)
	c.endCall()
	return c.actionFor(gc)
}

// OnClose runs before the descriptor is closed.
func (h *handler) OnClose(gc gnet.Conn, err error) gnet.Action {
	if c := gc.Context().(*Conn); c.gnet == gc {
		c.beginCall()
		c.detached(err)
		c.endCall()
	}
	return gnet.None
}

func (c *Conn) actionFor(gc gnet.Conn) gnet.Action {
	if c.gnet != gc {
		return gnet.Close
	}
	return gnet.None
}

// gnetLogger writes gnet's messages to our log. Nothing that gnet logs at info level is of
// interest to whoever runs a gateway.
type gnetLogger struct{ log zerolog.Logger }

func (l gnetLogger) Debugf(format string, args ...any) { l.log.Trace().Msgf(format, args...) }
func (l gnetLogger) Infof(format string, args ...any)  { l.log.Debug().Msgf(format, args...) }
func (l gnetLogger) Warnf(format string, args ...any)  { l.log.Debug().Msgf(format, args...) }
func (l gnetLogger) Errorf(format string, args ...any) { l.log.Warn().Msgf(format, args...) }
func (l gnetLogger) Fatalf(format string, args ...any) { l.log.Error().Msgf(format, args...) }
