// Package h2conn is one HTTP/2 client connection made for many small requests
// (RFC 9113): they are submitted in batches, written many at a time, and handed
// back as they end, in bursts. There is no goroutine, timer or map entry of a
// request, and no allocation in the common case.
package h2conn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// A State is how far the life of a connection has gone. It only grows.
type State uint8

// The states of a connection.
const (
	Opening  State = iota // SETTINGS are not yet exchanged
	Open                  // Submit takes requests as long as there is room
	Draining              // no new requests; those under way are waited for
	Closed                // every request has ended
)

// String is the state as a word for logs.
func (s State) String() string {
	return [...]string{"opening", "open", "draining", "closed"}[min(s, Closed)]
}

// Conn is a connection. Its methods may be called from any goroutine, and none
// blocks but RoundTrip.
type Conn struct {
	cfg   Config
	trunk *trunk
	nc    net.Conn // the trunk, or TLS on it
	made  time.Time
	done  chan struct{}

	mu      sync.Mutex
	m       machine
	wake    sync.Cond // there is something to write, or the end
	timer   *time.Timer
	due     int64   // when the timer runs
	waiting []*call // RoundTrips that found no room
	common  *commonPrefix

	delivering bool  // callbacks are running
	told       State // what Config.Changed was told
	left       int   // what must end before done is closed
}

// Dial connects, shakes hands and starts the connection. It does not wait for
// SETTINGS: that is what Config.Changed and Config.Room tell.
func Dial(ctx context.Context, address string, cfg Config) (*Conn, error) {
	cfg = cfg.withDefaults()
	raw, err := cfg.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("h2conn: dial %s: %w", address, err)
	}
	conf := cfg.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	if conf.ServerName == "" && !conf.InsecureSkipVerify {
		if conf.ServerName, _, err = net.SplitHostPort(address); err != nil {
			raw.Close()
			return nil, fmt.Errorf("h2conn: address %s: %w", address, err)
		}
	}
	conf.NextProtos = []string{http2.NextProtoTLS}
	conf.DynamicRecordSizingDisabled = true // many frames a record, from the first
	t := newTrunk(raw, cfg.ReadBytes)
	tc := tls.Client(t, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("h2conn: TLS handshake with %s: %w", address, err)
	}
	if p := tc.ConnectionState().NegotiatedProtocol; p != http2.NextProtoTLS {
		raw.Close()
		return nil, fmt.Errorf("h2conn: %s does not speak HTTP/2: ALPN chose %q", address, p)
	}
	return start(t, tc, cfg), nil
}

func start(t *trunk, nc net.Conn, cfg Config) *Conn {
	c := &Conn{cfg: cfg, trunk: t, nc: nc, made: time.Now(), done: make(chan struct{}), left: 2}
	c.m = newMachine(&c.cfg)
	c.wake.L = &c.mu
	first := min(cfg.OpenTimeout, cfg.PingAfter)
	c.due = int64(first)
	t.begin(c.made, c.idle)
	c.mu.Lock()
	c.timer = time.AfterFunc(first, c.tick)
	c.mu.Unlock()
	go c.read()
	go c.write()
	return c
}

// now is never 0, which stands for no time at all.
func (c *Conn) now() int64 { return int64(time.Since(c.made)) + 1 }

// Submit sends requests in their order, and returns how many of them it took.
// If not all, the error says why it stopped at reqs[n]: ErrNoRoom until
// Config.Room is called, ErrDraining or ErrClosed for ever, or a *RequestError
// that concerns reqs[n] alone.
func (c *Conn) Submit(reqs []*Request) (n int, err error) {
	now := c.now()
	c.mu.Lock()
	for n < len(reqs) {
		if err = c.m.submit(reqs[n], now); err != nil {
			break
		}
		n++
	}
	c.moved()
	if err == ErrNoRoom || c.m.flow.window <= 0 {
		c.arm(c.m.checkRoom(now))
	}
	c.mu.Unlock()
	if err == ErrDraining || err == ErrClosed {
		c.deliver() // the identifiers may just have been spent
	}
	return n, err
}

// moved wakes who has to act on what the machine now holds.
func (c *Conn) moved() {
	if len(c.m.out) > 0 {
		c.wake.Signal()
	}
	if at := c.m.earliest; at < c.due { // deadlines may be late, but are many
		c.arm(max(at, c.now()+granularity))
	}
}

// Cancel ends a request before its time. It reports whether it was still under
// way; then it is handed to Complete as Canceled.
func (c *Conn) Cancel(r *Request) bool {
	c.mu.Lock()
	s := c.m.find(r.stream)
	if s == nil || s.req != r {
		c.mu.Unlock()
		return false
	}
	c.m.cancel(s, Canceled, errCanceled)
	c.moved()
	c.mu.Unlock()
	c.deliver()
	return true
}

// Room is how many requests Submit would take now, and how many bytes their
// bodies may have before they wait for the server: the request that goes beyond
// is taken, those behind it are not. If Submit would take none, Config.Room is
// called when it would.
func (c *Conn) Room() (requests int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if requests = c.m.room(); requests == 0 {
		c.m.refill.wanted = true
		c.arm(c.m.checkRoom(c.now()))
		return 0, 0
	}
	return requests, min(c.m.flow.window, int64(c.cfg.WriteBytes-len(c.m.out)))
}

// State returns the state and, of a connection that is draining or closed, the
// reason. A *GoAway is in it if the server sent one.
func (c *Conn) State() (State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.state, c.m.reason
}

// Drain takes no more requests, and closes the connection when those under way
// have ended.
func (c *Conn) Drain() {
	c.mu.Lock()
	if c.m.state < Draining {
		c.m.drain(ErrDrained)
	}
	c.mu.Unlock()
	c.deliver()
}

// Close ends the connection at once, and every request with it.
func (c *Conn) Close() { c.end(http2.ErrCodeNo, ErrClosed) }

// Done is closed when the connection is Closed, all callbacks about it have
// returned and its goroutines are gone.
func (c *Conn) Done() <-chan struct{} { return c.done }

func (c *Conn) end(code http2.ErrCode, reason error) {
	c.mu.Lock()
	c.finish(code, reason)
	c.mu.Unlock()
	c.deliver()
}

// finish ends everything, with the lock. The writer says farewell and hangs up.
func (c *Conn) finish(code http2.ErrCode, reason error) {
	if c.m.end(code, reason) {
		c.timer.Stop()
		c.nc.SetWriteDeadline(time.Now().Add(c.cfg.CloseTimeout)) // also for a write that hangs
		c.wake.Signal()
	}
}
