package gateway

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"apnsbridge/binproto"
	"apnsbridge/gateway/unix"
)

var (
	errNotEnrolled = errors.New("gateway: no event loop took the connection")
	errCut         = errors.New("gateway: the client is not admitted any more")
	errLingered    = errors.New("gateway: the provider did not end a connection that we had ended")
)

// Conn is one provider's connection. Its exported methods may be called from any
// goroutine, even within the Session's own methods and after its Close; they return at
// once. Everything else happens on the connection's loop or, before it has one, on the
// goroutine of its handshake.
//
// While the loop reads, the descriptor is gnet's. It is ours, and unknown to gnet, at
// first, while the session has no room, and when the provider has ended its side and
// ours waits for a verdict: see holder.
type Conn struct {
	server  *Server
	session Session
	parser  binproto.Parser
	place   *place
	remote  netip.AddrPort
	stream  stream
	wire    *loopWire

	loop    *loop        // set once; for kick under mu
	scratch *scratch     // the loop's, or one of the server's as long as there is no loop
	gnet    gnet.Conn    // nil unless the loop watches the descriptor
	fd      int          // -1 unless the descriptor is ours
	tcp     *net.TCPConn // owns the descriptor while the holder is arriving

	partial []byte          // the beginning of a frame
	large   *binproto.Large // a frame that is too large for a buffer
	stash   []byte          // read but not decrypted, while parked
	held    int             // what is counted in Stats.UnparsedBytes

	ours    side          // told, fin: ended by Fail or Close; reset: Session.Close was called
	theirs  side          // not open: Session.Shutdown was called
	holder  holder        // of the descriptor
	full    bool          // the session has no room
	framed  bool          // a frame was read
	last    *lastWord     // what our side is to end with, once Fail or Close was called
	packet  packet        // the error response that was written
	leaving time.Duration // until the next check of whether it arrived

	attached atomic.Uint32 // how often gnet has taken the descriptor
	heardAt  atomic.Int64  // when the provider last sent something, in Unix nanoseconds
	pressed  atomic.Bool   // its place was given to another
	drained  atomic.Bool   // nothing readable can come any more
	speakBy  instant

	mu     sync.Mutex
	asked  request
	errand errand
}

// side is how far one of the two directions of a connection has come, in TCP's words.
type side uint8

const (
	open    side = iota
	garbled      // only the provider's side: it writes what cannot be read
	told         // only our side: the packet was written, but the side has not ended yet
	fin          // ended in an orderly way
	reset        // nothing can be written or read any more
)

// holder is who has a connection's descriptor.
type holder uint8

const (
	watched   holder = iota // gnet, which reads it
	arriving                // we; it is read where the handshake was done
	parked                  // we; it is not read
	enrolling               // we; gnet is about to take it
	kept                    // we; the provider has ended its side
)

// become changes the holder. On its way back to gnet a connection still counts as parked. As
// long as we do not read, it waits for us, and does not count for its address.
func (c *Conn) become(h holder) {
	count := func(h holder, n int64) {
		switch h {
		case parked, enrolling:
			c.server.counters.parked.Add(n)
		case kept:
			c.server.counters.halfClosed.Add(n)
		}
	}
	count(c.holder, -1)
	count(h, 1)
	if h == parked || h == kept {
		c.server.front.census.wait(c.place)
	}
	c.holder = h
}

func newConn(s *Server, a *arrival, remote netip.AddrPort) *Conn {
	c := &Conn{server: s, place: a.place, remote: remote, stream: a.stream, partial: a.behind, fd: -1}
	c.heardAt.Store(time.Now().UnixNano())
	c.wire = &loopWire{conn: c}
	a.wire.Conn = c.wire
	return c
}

// Fail first reads on until the provider pauses in writing, for within at most. Then it
// sends the error response in one TLS record, ends our side of the connection, and goes
// on reading until the provider ends its own. A provider that has ended its side before
// is told nothing. Only the first call of Fail or Close has an effect.
func (c *Conn) Fail(status binproto.Status, identifier uint32, within time.Duration) {
	c.endWith(lastWord{packet: true, response: binproto.Response{Status: status, Identifier: identifier}, within: within})
}

// Close ends our side of the connection without a packet. As with Fail, what the
// provider writes is read both before and after that.
func (c *Conn) Close() { c.endWith(lastWord{within: closeWithin}) }

// SpeakBy sets by when the last word, whether or not it has been decided on, no longer waits
// for a pause of the provider. Only the first call has an effect.
func (c *Conn) SpeakBy(by time.Time) { c.speakBy.set(by) }

func (c *Conn) endWith(w lastWord) {
	w.decided = time.Now()
	c.ask(func(r *request) {
		if r.last == nil {
			r.last = &w
		}
	})
}

// Cut ends the connection at once, whatever the provider may still have written.
func (c *Conn) Cut() { c.abort(errCut) }

// Resume says that a session that had no room has room again.
func (c *Conn) Resume() {
	c.ask(func(r *request) { r.resume = true })
}

// abort ends the connection for err.
func (c *Conn) abort(err error) {
	c.ask(func(r *request) { r.abort = err })
}

func (c *Conn) opened() bool { return c.attached.Load() > 0 }

// attach is called when gnet has taken the descriptor: after the handshake, when the
// first frames may already be inside the tls.Conn, and again each time after it was
// parked.
func (c *Conn) attach(gc gnet.Conn) {
	if c.loop == nil {
		c.join(c.server.loopOf(gc.EventLoop()))
	}
	c.attached.Add(1)
	if c.ours == reset {
		return
	}
	c.closeDescriptor()
	c.gnet = gc
	c.become(watched)
	if c.full {
		c.park()
		return
	}
	if !finCame(gc.Fd()) { // else the provider is gone, and what it wrote waits to be read
		c.server.front.census.goOn(c.place)
	}
	c.receive(nil)
}

// detached is called when gnet gives the descriptor up, and before it is closed.
func (c *Conn) detached(err error) {
	if isEOF(err) { // gnet also reports this for a reset that came with nothing to read
		err = cmp.Or(socketError(c.descriptor()), err)
	}
	switch {
	case isEOF(err):
		c.sawFIN()
	case err == nil:
		c.finish(ErrServerClosed)
	default:
		c.broke(err)
	}
}

// descriptor is the connection's descriptor, whoever holds it.
func (c *Conn) descriptor() int {
	if c.gnet != nil {
		return c.gnet.Fd()
	}
	return c.fd
}

// closeDescriptor closes the descriptor if it is ours.
func (c *Conn) closeDescriptor() {
	switch {
	case c.tcp != nil:
		c.tcp.Close()
	case c.fd >= 0:
		unix.Close(c.fd)
	}
	c.tcp, c.fd = nil, -1
}

// silence is how long the provider has sent nothing readable.
func (c *Conn) silence(now time.Time) time.Duration {
	return now.Sub(time.Unix(0, c.heardAt.Load()))
}
