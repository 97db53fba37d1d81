package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/h2conn"
)

// connection is one connection of an Upstream.
type connection struct {
	upstream *Upstream
	conn     *h2conn.Conn // known once it serves
	full     atomic.Bool  // until the connection says that there is room

	// Of the connection's callbacks.
	opened   chan struct{} // closed when it is open, or never will be
	told     bool          // opened is closed
	answered time.Time     // when the last answer came

	// Under the Upstream's lock.
	state   connState
	drained bool // the connection was told to drain
}

// live is a connection's life, from connecting until nothing of it runs.
func (c *connection) live() {
	u := c.upstream
	conn, err := c.open()
	if err != nil {
		u.lost(c, err)
		return
	}
	u.opened(c, conn)
	// Not all that were opened together shall be replaced together.
	age := u.limits.ConnectionAge
	timer := time.NewTimer(age - time.Duration(rand.Int64N(1+int64(age/4))))
	defer timer.Stop()
	select {
	case <-conn.Done():
	case <-timer.C:
		u.age(c)
	case <-u.ctx.Done():
	}
	select {
	case <-conn.Done():
	case <-u.ctx.Done():
		conn.Close()
		<-conn.Done()
	}
	u.forget(c)
}

// open returns once APNs' SETTINGS are known: before that, nobody knows how many
// streams it allows.
func (c *connection) open() (*h2conn.Conn, error) {
	u := c.upstream
	ctx, cancel := context.WithTimeout(u.ctx, u.limits.DialTimeout)
	defer cancel()
	c.full.Store(true)
	conn, err := u.target.dial(ctx, h2conn.Config{
		Complete:       c.complete,
		Room:           c.roomAgain,
		Changed:        c.changed,
		MaxStreams:     u.limits.Streams,
		RequestTimeout: u.limits.RequestTimeout,
		OpenTimeout:    u.limits.DialTimeout,
		PingAfter:      u.limits.PingAfter,
		PingTimeout:    u.limits.PingTimeout,
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-c.opened:
		if state, reason := conn.State(); state != h2conn.Open {
			err = fmt.Errorf("HTTP/2 with %s: %w", u.target.address, reason)
		}
	case <-ctx.Done():
		err = fmt.Errorf("HTTP/2 with %s: %w", u.target.address, h2conn.ErrNotReady)
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
func (c *connection) room() (requests int, bytes int64) {
	if c.full.Load() {
		return 0, 0
	}
	c.full.Store(true)
	if requests, bytes = c.conn.Room(); requests > 0 {
		c.full.Store(false)
	}
	return requests, bytes
}

func (c *connection) roomAgain(*h2conn.Conn) {
	c.full.Store(false)
	c.upstream.rouse()
}

// complete passes on what a burst of answers says.
func (c *connection) complete(_ *h2conn.Conn, done []*h2conn.Request) {
	u := c.upstream
	now := time.Now()
	var fates [h2conn.Malformed + 1]uint64
	for _, q := range done {
		if fates[q.Fate]++; q.Fate == h2conn.Answered {
			c.answered = now
		}
		p := q.Owner.(*attempt).push
		u.answered(p, u.judge(p, q))
	}
	u.mu.Lock()
	for _, q := range done {
		a := q.Owner.(*attempt)
		a.clear()
		u.idle = append(u.idle, a)
	}
	u.counts.end(fates)
	over := u.retired && u.counts.inFlight == 0
	u.mu.Unlock()
	if over {
		u.rouse()
	}
	if fates[h2conn.TimedOut] > 0 && now.Sub(c.answered) >= u.limits.RequestTimeout {
		// Nothing was answered since the request was sent. The connection may
		// be dead, and a PING would take its time to say so.
		u.leave(c)
	}
}

// changed follows the state of the connection.
func (c *connection) changed(conn *h2conn.Conn, state h2conn.State) {
	if !c.told && state != h2conn.Opening {
		c.told = true
		c.answered = time.Now()
		close(c.opened)
	}
	if state < h2conn.Draining {
		return
	}
	u := c.upstream
	_, reason := conn.State()
	var away *h2conn.GoAway
	ours := false
	u.mu.Lock()
	if ours = c.drained; !ours {
		c.drained = true // by itself
		if errors.As(reason, &away) {
			u.counts.goAways++
		} else if u.ctx.Err() == nil {
			u.counts.lost++
		}
	}
	u.mu.Unlock()
	u.leave(c)
	switch {
	case ours || u.ctx.Err() != nil:
	case away != nil:
		u.log.Info().Str("reason", goAwayReason(away.Debug)).Stringer("code", away.Code).Msg("APNs ends a connection")
	default:
		u.log.Warn().Err(reason).Msg("a connection to APNs is lost")
	}
}
