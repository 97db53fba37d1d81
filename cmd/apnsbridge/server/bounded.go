package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// bounded is a listener with a bound on its open connections. Beyond that, up to 16 more
// are accepted for a second each, and the oldest of them gives way to a new one. So a quick
// client, such as a probe, gets its answer though slow clients have taken all places.
type bounded struct {
	net.Listener
	most      int64
	open      atomic.Int64
	overLimit atomic.Uint64

	mu    sync.Mutex
	quick []*boundedConn // beyond the bound, oldest first
}

const (
	quickPlaces = 16
	quickTime   = time.Second
)

// Accept waits for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if b.open.Add(1) <= b.most {
		return &boundedConn{Conn: conn, left: sync.OnceFunc(func() { b.open.Add(-1) })}, nil
	}
	b.open.Add(-1)
	b.overLimit.Add(1)
	return b.hurry(conn)
}

// hurry accepts conn for a second.
func (b *bounded) hurry(conn net.Conn) (net.Conn, error) {
	c := &boundedConn{Conn: conn, until: time.Now().Add(quickTime)}
	c.left = sync.OnceFunc(func() { b.forget(c) })
	b.mu.Lock()
	b.quick = append(b.quick, c)
	var oldest *boundedConn
	if len(b.quick) > quickPlaces {
		oldest, b.quick = b.quick[0], b.quick[1:]
	}
	b.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
	}
	return c, c.Conn.SetDeadline(c.until)
}

func (b *bounded) forget(c *boundedConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range b.quick {
		if q == c {
			b.quick = append(b.quick[:i:i], b.quick[i+1:]...)
			return
		}
	}
}

type boundedConn struct {
	net.Conn
	until time.Time // its last deadline; zero: none
	left  func()
}

// Close makes room for another connection.
func (c *boundedConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// SetDeadline never goes beyond until.
func (c *boundedConn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.clamp(t)) }

// SetReadDeadline never goes beyond until.
func (c *boundedConn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.clamp(t)) }

// SetWriteDeadline never goes beyond until.
func (c *boundedConn) SetWriteDeadline(t time.Time) error {
	return c.Conn.SetWriteDeadline(c.clamp(t))
}

func (c *boundedConn) clamp(t time.Time) time.Time {
	if c.until.IsZero() || !t.IsZero() && t.Before(c.until) {
		return t
	}
	return c.until
}
