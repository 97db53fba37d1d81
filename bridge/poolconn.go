package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/h2conn"
)

// poolConn is one connection of a pool.
type poolConn struct {
	pool *pool
	conn *h2conn.Conn // known once it serves
	full atomic.Bool  // until the connection says that there is room

	// Of the connection's callbacks.
	opened   chan struct{} // closed when it is open, or never will be
	told     bool          // opened is closed
	answered time.Time     // when the last answer came

	// Under the pool's lock.
	stage   stage
	drained bool // the connection was told to drain
}

// live is a connection's life, from dialling until nothing of it runs.
func (c *poolConn) live() {
	p := c.pool
	conn, err := c.open()
	if err != nil {
		p.lost(c, err)
		return
	}
	p.opened(c, conn)
	// Not all that were opened together shall be replaced together.
	age := p.limits.ConnectionAge
	timer := time.NewTimer(age - time.Duration(rand.Int64N(1+int64(age/4))))
	defer timer.Stop()
	select {
	case <-conn.Done():
	case <-timer.C:
		p.age(c)
	case <-p.ctx.Done():
	}
	select {
	case <-conn.Done():
	case <-p.ctx.Done():
		conn.Close()
		<-conn.Done()
	}
	p.forget(c)
}

// open returns once APNs' SETTINGS are known: before that, nobody knows how many
// streams it allows.
func (c *poolConn) open() (*h2conn.Conn, error) {
	p := c.pool
	ctx, cancel := context.WithTimeout(p.ctx, p.limits.DialTimeout)
	defer cancel()
	c.full.Store(true)
	conn, err := p.target.dial(ctx, h2conn.Config{
		Complete:       c.complete,
		Room:           c.roomAgain,
		Changed:        c.changed,
		MaxStreams:     p.limits.Streams,
		RequestTimeout: p.limits.RequestTimeout,
		OpenTimeout:    p.limits.DialTimeout,
		PingAfter:      p.limits.PingAfter,
		PingTimeout:    p.limits.PingTimeout,
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-c.opened:
		if state, reason := conn.State(); state != h2conn.Open {
			err = fmt.Errorf("HTTP/2 with %s: %w", p.target.address, reason)
		}
	case <-ctx.Done():
		err = fmt.Errorf("HTTP/2 with %s: %w", p.target.address, h2conn.ErrNotReady)
	}
	if err != nil {
		conn.Close()
		<-conn.Done()
		return nil, err
	}
	return conn, nil
}

// room is what c can be given. If that is nothing, c is not asked again until it
// has said that there is room: refilling in pieces makes large writes.
func (c *poolConn) room() (requests int, bytes int64) {
	if c.full.Load() {
		return 0, 0
	}
	c.full.Store(true)
	if requests, bytes = c.conn.Room(); requests > 0 {
		c.full.Store(false)
	}
	return requests, bytes
}

func (c *poolConn) roomAgain(*h2conn.Conn) {
	c.full.Store(false)
	c.pool.rouse()
}

// complete passes on what a burst of answers says.
func (c *poolConn) complete(_ *h2conn.Conn, done []*h2conn.Request) {
	p := c.pool
	now := time.Now()
	var fates [h2conn.Malformed + 1]uint64
	for _, q := range done {
		if fates[q.Fate]++; q.Fate == h2conn.Answered {
			c.answered = now
		}
		p.answered(q.Owner.(*attempt).record, verdictOn(q))
	}
	p.mu.Lock()
	for _, q := range done {
		a := q.Owner.(*attempt)
		a.clear()
		p.idle = append(p.idle, a)
	}
	p.counts.end(fates)
	over := p.retired && p.counts.inFlight == 0
	p.mu.Unlock()
	if over {
		p.rouse()
	}
	if fates[h2conn.TimedOut] > 0 && now.Sub(c.answered) >= p.limits.RequestTimeout {
		// Nothing was answered since the request was sent. The connection may
		// be dead, and a PING would take its time to say so.
		p.leave(c)
	}
}

// changed follows the state of the connection.
func (c *poolConn) changed(conn *h2conn.Conn, state h2conn.State) {
	if !c.told && state != h2conn.Opening {
		c.told = true
		c.answered = time.Now()
		close(c.opened)
	}
	if state < h2conn.Draining {
		return
	}
	p := c.pool
	_, reason := conn.State()
	var away *h2conn.GoAway
	ours := false
	p.mu.Lock()
	if ours = c.drained; !ours {
		c.drained = true // by itself
		if errors.As(reason, &away) {
			p.counts.goAways++
		} else if p.ctx.Err() == nil {
			p.counts.lost++
		}
	}
	p.mu.Unlock()
	p.leave(c)
	switch {
	case ours || p.ctx.Err() != nil:
	case away != nil:
		p.log.Info().Str("reason", reasonOf(away)).Stringer("code", away.Code).Msg("APNs ends a connection")
	default:
		p.log.Warn().Err(reason).Msg("a connection to APNs is lost")
	}
}

// reasonOf is what APNs says in the JSON of a GOAWAY, or all of it if that is
// something else.
func reasonOf(away *h2conn.GoAway) string {
	var said struct{ Reason string }
	if json.Unmarshal([]byte(away.Debug), &said) == nil && said.Reason != "" {
		return said.Reason
	}
	return away.Debug
}
