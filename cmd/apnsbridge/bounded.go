package main

import (
	"net"
	"sync"
	"sync/atomic"
)

// bounded is a listener that has only so many connections at a time, and closes
// those at once that are more.
type bounded struct {
	net.Listener
	most       int64
	open       atomic.Int64
	turnedAway atomic.Uint64
}

// Accept waits for a connection that there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.most {
			return &boundedConn{Conn: conn, left: sync.OnceFunc(func() { b.open.Add(-1) })}, nil
		}
		b.open.Add(-1)
		b.turnedAway.Add(1)
		conn.Close()
	}
}

type boundedConn struct {
	net.Conn
	left func()
}

// Close makes room for another.
func (c *boundedConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}
