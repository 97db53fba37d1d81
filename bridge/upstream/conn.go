package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"apnsbridge/bridge/h2conn"
)

// connection is one connection of an Upstream.
type connection struct {
	upstream *Upstream
	conn     *h2conn.Conn // known once it serves
	full     atomic.Bool  // until the connection says that there is room

	serial   uint64      // counts those dialled, from 1 on
	forFresh bool        // it was dialled for a push that waits for a new one
	asked    atomic.Bool // it was given requests

	// Of the connection's callbacks.
	answered time.Time // when the last answer came, or it was opened
	verdicts []Verdict

	// Under the Upstream's lock.
	state   connState
	address netip.AddrPort // none behind a proxy
	drained bool           // the connection was told to drain, or does
	over    bool           // changed has seen to its end
	proven  bool           // one that was an acceptance
	opened  time.Time      // by Config.Now
	answers int            // that say something
	counted bool           // the dialPolicy knows how it has ended
	again   Verdict        // why it has ended soon, as others before it; else no class
}

// isUseful reports whether c has brought an answer that says something. The
// Upstream's lock is held.
func (c *connection) isUseful() bool { return c.answers > 0 }

// live is a connection's life, from connecting until nothing of it runs.
func (c *connection) live() {
	u := c.upstream
	conn, address, err := c.open()
	if err != nil {
		u.lost(c, err)
		return
	}
	c.answered = time.Now()
	u.opened(c, conn, address)
	if state, _ := conn.State(); state >= h2conn.Draining { // it was not listened to before
		c.changed(conn, state)
	}
	// Not all that were opened together are to be replaced together.
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

// open returns a connection that is ready for requests.
func (c *connection) open() (*h2conn.Conn, netip.AddrPort, error) {
	u := c.upstream
	ctx, cancel := context.WithTimeout(u.ctx, u.limits.DialTimeout)
	defer cancel()
	return u.target.open(ctx, h2conn.Config{
		Want:           wanted,
		Complete:       c.complete,
		Room:           c.roomAgain,
		Changed:        c.changed,
		MaxStreams:     u.limits.Streams,
		RequestTimeout: u.limits.RequestTimeout,
		OpenTimeout:    u.limits.DialTimeout,
		PingAfter:      u.limits.PingAfter,
		PingTimeout:    u.limits.PingTimeout,
	})
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
	var burst burst
	late := false
	c.verdicts = c.verdicts[:0]
	for _, q := range done {
		u.fetch(q.Owner.(*attempt).push)
	}
	for _, q := range done {
		if fates[q.Fate]++; q.Fate == h2conn.Answered {
			c.answered = now
		}
		late = late || errors.Is(q.Err, h2conn.ErrDeadline)
		p := q.Owner.(*attempt).push
		v := u.judge(p, q)
		burst.add(q, p, v)
		if v.UniqueID != "" {
			u.logUnique(p, v)
		}
		c.verdicts = append(c.verdicts, v)
	}
	if late && now.Sub(c.answered) >= u.limits.RequestTimeout {
		// Nothing was answered since the request was sent. The connection may
		// be dead, and a PING would take its time to say so.
		burst.left = Verdict{Class: NoConnection, Reason: h2conn.ErrDeadline.Error()}
	}
	u.heard(c, &burst)
	hopeless := false
	if burst.left.Class != 0 { // before anything is sent again
		hopeless = u.leave(c, burst.left)
	}
	came := u.now()
	for i, q := range done {
		v := c.verdicts[i]
		if hopeless && v.Class == Unprocessed {
			v.Class, v.Remedy = NoConnection, u.inVain(v)
		}
		u.answered(q.Owner.(*attempt).push, v, came)
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
}

// burst is what answers that come together say of their connection.
type burst struct {
	answers  int     // that say something
	accepted bool    // there is an acceptance
	fresh    bool    // of a push that asked for a new connection
	left     Verdict // for which the connection is left, if it has a class
	doubtful Verdict // the same, unless other pushes are accepted
	unlooked int     // pushes behind the last acceptance that were not looked at
}

// maxUnlooked is how many pushes in a row connections that have accepted one may not
// look at before they are not trusted any more.
const maxUnlooked = 1000

func (b *burst) add(q *h2conn.Request, p *Push, v Verdict) {
	if q.Fate == h2conn.Answered && !v.leave {
		b.answers++
	}
	if v.Class == Accepted {
		b.accepted, b.unlooked = true, 0
		b.fresh = b.fresh || p.Fresh
	}
	if v.Class == Unprocessed {
		b.unlooked++
	}
	if !v.leave && (q.Fate != h2conn.Unprocessed || !refused(q.Err)) {
		return
	}
	ended := errors.As(q.Err, new(*h2conn.GoAway)) // then there is no connection that could serve on
	v.leave = v.leave || !ended
	if p.Again && v.Class == Unprocessed && !ended {
		b.doubtful = v
	} else {
		b.left = v
	}
}

// refused reports whether the server has refused a stream for no reason of ours,
// or ended the connection.
func refused(err error) bool {
	var reset http2.StreamError
	var away *h2conn.GoAway
	return errors.As(err, &reset) || errors.As(err, &away)
}

// changed follows the state of connections: that of c, once it is put to use, and
// of those that were tried for it.
func (c *connection) changed(conn *h2conn.Conn, state h2conn.State) {
	if state < h2conn.Draining {
		return
	}
	u := c.upstream
	_, reason := conn.State()
	ours := errors.Is(reason, h2conn.ErrDrained) || u.ctx.Err() != nil
	u.mu.Lock()
	first := c.conn == conn && !c.over
	if first {
		c.over, c.drained = true, true
	}
	u.mu.Unlock()
	switch {
	case !first:
	case ours:
		u.leave(c, Verdict{})
	default:
		c.ended(reason)
	}
}

// ended sees to the end of c, which the server has brought about.
func (c *connection) ended(reason error) {
	u := c.upstream
	u.mu.Lock()
	u.counts.ended(reason)
	u.mu.Unlock()
	v, trouble := judgeEnd(reason)
	u.leave(c, v)
	if trouble {
		u.tell(v)
	}
	var away *h2conn.GoAway
	if errors.As(reason, &away) {
		u.log.Info().Str("reason", goAwayReason(away.Debug)).Stringer("code", away.Code).Msg("APNs ends a connection")
	} else {
		u.log.Warn().Err(reason).Msg("a connection to APNs is lost")
	}
}

// judgeEnd says what the end of a connection means to those who had no place on
// it, and whether it says something of more than the connection.
func judgeEnd(reason error) (v Verdict, trouble bool) {
	var away *h2conn.GoAway
	if errors.As(reason, &away) {
		if v, ok := judgeGoAway(away.Debug); ok {
			return v, true
		}
	}
	if errors.Is(reason, h2conn.ErrBarren) {
		return Verdict{Class: ServerError, Reason: reason.Error()}, true
	}
	return Verdict{Class: NoConnection, Reason: reason.Error()}, false
}
