package bridge

import (
	"errors"
	"net"
	"strings"
	"time"

	"apnsbridge/bridge/h2conn"
)

// tend opens and leaves connections as is needed, and says when to do so again;
// 0 for not before something happens.
func (p *pool) tend(now time.Time) (wait time.Duration) {
	var drain []*h2conn.Conn
	p.mu.Lock()
	if p.retired && p.queue.empty() && p.counts.inFlight == 0 {
		p.leaveAll()
	}
	var count [stages]int
	for _, c := range p.all {
		count[c.stage]++
		if c.stage == leaving && !c.drained {
			c.drained = true
			drain = append(drain, c.conn)
		}
	}
	open, wait := p.openings.next(now, count, &p.queue)
	if open {
		c := &poolConn{pool: p, opened: make(chan struct{})}
		p.all = append(p.all, c)
		p.counts.dials++
		p.wg.Go(c.live)
	}
	p.mu.Unlock()
	for _, c := range drain {
		c.Drain()
	}
	return wait
}

// move brings c to a later stage. p.mu is held.
func (p *pool) move(c *poolConn, to stage) {
	c.stage = to
	p.inUse = nil
	for _, c := range p.all {
		if c.stage == serving || c.stage == aged {
			p.inUse = append(p.inUse, c)
		}
	}
}

// leaveAll gives no more requests to the connections in use. p.mu is held.
func (p *pool) leaveAll() {
	for _, c := range p.inUse {
		p.move(c, leaving)
	}
}

// leave gives no more requests to c.
func (p *pool) leave(c *poolConn) {
	p.mu.Lock()
	if c.stage < leaving {
		p.move(c, leaving)
	}
	p.mu.Unlock()
	p.rouse()
}

// opened puts c to use, instead of connections that are aged.
func (p *pool) opened(c *poolConn, conn *h2conn.Conn) {
	p.mu.Lock()
	c.conn = conn
	p.openings.opened(time.Now())
	for _, old := range p.inUse {
		if old.stage == aged {
			p.move(old, leaving)
		}
	}
	if c.stage == dialling { // else it was soon left
		p.move(c, serving)
	}
	p.mu.Unlock()
	p.rouse()
}

// lost takes note that c could not be opened. If it would have been the only one,
// what waits must not wait any longer: its provider's bytes are bounded.
func (p *pool) lost(c *poolConn, err error) {
	var failed *record
	p.mu.Lock()
	p.openings.failed(time.Now())
	p.counts.dialFailures++
	alone := len(p.inUse) == 0
	if alone {
		failed = p.queue.takeAll()
	}
	p.mu.Unlock()
	p.forget(c)
	if p.ctx.Err() == nil && !alone {
		p.log.Warn().Err(err).Msg("another connection to APNs cannot be opened")
	}
	p.fail(failed, steady(err))
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
func (p *pool) forget(c *poolConn) {
	p.mu.Lock()
	p.move(c, leaving)
	for i, other := range p.all {
		if other == c {
			p.all[i] = p.all[len(p.all)-1]
			p.all = p.all[:len(p.all)-1]
			break
		}
	}
	p.mu.Unlock()
	p.rouse()
}

// age ends the time of c. The only connection serves until there is another.
func (p *pool) age(c *poolConn) {
	p.mu.Lock()
	if c.stage == serving {
		p.counts.rotations++
		if p.move(c, aged); len(p.inUse) > 1 {
			p.move(c, leaving)
		}
	}
	p.mu.Unlock()
	p.rouse()
}
