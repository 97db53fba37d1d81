package upstream

import (
	"errors"
	"net"
	"strings"
	"time"

	"apnsbridge/bridge/h2conn"
)

// tend opens and leaves connections as is needed, and says when to do so again;
// 0 for not before something happens.
func (u *Upstream) tend(now time.Time) (wait time.Duration) {
	var drain []*h2conn.Conn
	u.mu.Lock()
	if u.retired && u.queue.empty() && u.counts.inFlight == 0 {
		u.leaveAll()
	}
	var count [connStates]int
	for _, c := range u.all {
		count[c.state]++
		if c.state == draining && !c.drained {
			c.drained = true
			drain = append(drain, c.conn)
		}
	}
	switch {
	case !u.retired || len(u.all) > 0 || !u.queue.empty() || u.counts.inFlight > 0:
		u.idleSince = time.Time{}
	case u.idleSince.IsZero():
		u.idleSince = u.now()
	}
	open, wait := u.dials.next(now, count, &u.queue)
	if open {
		c := &connection{upstream: u, opened: make(chan struct{})}
		u.all = append(u.all, c)
		u.counts.dials++
		u.wg.Go(c.live)
	}
	u.mu.Unlock()
	for _, c := range drain {
		c.Drain()
	}
	return wait
}

// move brings c to a later state. u.mu is held.
func (u *Upstream) move(c *connection, to connState) {
	c.state = to
	u.inUse = nil
	for _, c := range u.all {
		if c.state == serving || c.state == aging {
			u.inUse = append(u.inUse, c)
		}
	}
}

// leaveAll gives no more requests to the connections in use. u.mu is held.
func (u *Upstream) leaveAll() {
	for _, c := range u.inUse {
		u.move(c, draining)
	}
}

// leave gives no more requests to c.
func (u *Upstream) leave(c *connection) {
	u.mu.Lock()
	if c.state < draining {
		u.move(c, draining)
	}
	u.mu.Unlock()
	u.rouse()
}

// opened puts c to use, instead of connections that are aging.
func (u *Upstream) opened(c *connection, conn *h2conn.Conn) {
	u.mu.Lock()
	c.conn = conn
	u.dials.opened(time.Now())
	for _, old := range u.inUse {
		if old.state == aging {
			u.move(old, draining)
		}
	}
	if c.state == connecting { // else it was soon left
		u.move(c, serving)
	}
	u.mu.Unlock()
	u.rouse()
}

// lost takes note that c could not be opened. If it would have been the only one,
// what waits must not wait any longer: its provider's bytes are bounded.
func (u *Upstream) lost(c *connection, err error) {
	var failed *Push
	u.mu.Lock()
	u.dials.failed(time.Now())
	u.counts.dialFailures++
	alone := len(u.inUse) == 0
	if alone {
		failed = u.queue.takeAll()
	}
	u.mu.Unlock()
	u.forget(c)
	if u.ctx.Err() == nil && !alone {
		u.log.Warn().Err(err).Msg("another connection to APNs cannot be opened")
	}
	u.fail(failed, steady(err))
}

// steady is what err says without our port, which is another each time: the app's
// problem would seem to change.
func steady(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Source != nil {
		text = strings.ReplaceAll(text, op.Source.String()+"->", "")
	}
	return text
}

// forget drops a connection of which nothing runs any more.
func (u *Upstream) forget(c *connection) {
	u.mu.Lock()
	u.move(c, draining)
	for i, other := range u.all {
		if other == c {
			u.all[i] = u.all[len(u.all)-1]
			u.all = u.all[:len(u.all)-1]
			break
		}
	}
	u.mu.Unlock()
	u.rouse()
}

// age ends the time of c. The only connection serves until there is another.
func (u *Upstream) age(c *connection) {
	u.mu.Lock()
	if c.state == serving {
		u.counts.rotations++
		if u.move(c, aging); len(u.inUse) > 1 {
			u.move(c, draining)
		}
	}
	u.mu.Unlock()
	u.rouse()
}
