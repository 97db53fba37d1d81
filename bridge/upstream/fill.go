package upstream

import (
	"errors"
	"slices"
	"time"

	"apnsbridge/bridge/h2conn"
)

// fill gives each connection what it has room for. It reports whether there
// may be more to give.
func (u *Upstream) fill() (filled bool) {
	u.mu.Lock()
	conns := u.inUse
	if u.empty() {
		conns = nil
	}
	u.mu.Unlock()
	for _, c := range conns {
		filled = u.fillOne(c) || filled
	}
	return filled
}

func (u *Upstream) fillOne(c *connection) (filled bool) {
	room, bytes := c.room()
	if room == 0 || !u.take(c, room, bytes) {
		return false
	}
	u.prepare()
	rest := u.requests
	for len(rest) > 0 {
		c.asked.Store(true) // before an answer can come
		n, err := c.conn.Submit(rest)
		rest = rest[n:]
		var bad *h2conn.RequestError
		if !errors.As(err, &bad) {
			break
		}
		a := rest[0].Owner.(*attempt)
		rest = rest[1:]
		u.answered(a.push, Verdict{Class: TopicRefused, Reason: bad.Error()}, u.now()) // nothing else in it is not ours
		u.free(a)
	}
	u.putBack(rest)
	return len(rest) < len(u.requests) || len(u.requests) == 0 // the first ones may all have been spared
}

// take takes pushes for c into u.batch, no more than there is room for: first those
// that wait for a new connection, if c is one.
func (u *Upstream) take(c *connection, room int, bytes int64) bool {
	u.batch = u.batch[:0]
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.batch) < room && bytes > 0 {
		from := &u.queue
		if p := u.fresh.first(); p != nil && p.after < c.serial {
			from = &u.fresh
		}
		if from.empty() {
			break
		}
		var a *attempt
		if n := len(u.idle); n > 0 {
			a, u.idle = u.idle[n-1], u.idle[:n-1]
		} else {
			a = newAttempt()
		}
		a.push = from.pop()
		bytes -= int64(len(a.push.Payload))
		u.batch = append(u.batch, a)
	}
	u.counts.inFlight += len(u.batch)
	return len(u.batch) > 0
}

// prepare makes u.requests of u.batch, without those for which there is
// nothing to ask.
func (u *Upstream) prepare() {
	u.requests = u.requests[:0]
	now := u.now()
	var bearer string
	var unsigned error
	if u.bearer != nil {
		bearer, unsigned = u.bearer.current(time.Now())
	}
	for near := range slices.Chunk(u.batch, together) {
		for _, a := range near {
			a.push.fetch()
			u.fetch(a.push)
		}
		for _, a := range near {
			p := a.push
			if !u.begin(p, now) {
				u.free(a)
				continue
			}
			p.Bearer = bearer
			if unsigned != nil {
				u.answered(p, Verdict{Class: CredentialRefused, Reason: unsigned.Error()}, now)
				u.free(a)
				continue
			}
			prefix, err := u.prefixes.find(bearer, &p.Request)
			if err != nil {
				u.answered(p, Verdict{Class: TopicRefused, Reason: err.Error()}, now)
				u.free(a)
				continue
			}
			a.write(prefix, p)
			u.requests = append(u.requests, &a.Request)
		}
	}
}

// together is how many pushes are fetched at a time: large ones still fit in the caches.
const together = 32

// putBack gives requests back that the connection has not taken after all: it
// has just been told to do less.
func (u *Upstream) putBack(rest []*h2conn.Request) {
	if len(rest) == 0 {
		return
	}
	u.mu.Lock()
	for _, q := range slices.Backward(rest) {
		a := q.Owner.(*attempt)
		a.push.Attempts--
		if a.push.Fresh {
			u.fresh.putBack(a.push)
		} else {
			u.queue.putBack(a.push)
		}
		a.clear()
		u.idle = append(u.idle, a)
	}
	u.counts.inFlight -= len(rest)
	u.mu.Unlock()
}

// free ends an attempt that did not reach a connection.
func (u *Upstream) free(a *attempt) {
	a.clear()
	u.mu.Lock()
	u.idle = append(u.idle, a)
	u.counts.inFlight--
	u.mu.Unlock()
}
