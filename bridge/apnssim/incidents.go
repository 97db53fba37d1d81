package apnssim

import (
	"math"

	"golang.org/x/net/http2"
)

// incidents begins what the scenario plans for a connection that has had so
// many requests. It is called when their number changes.
func (c *conn) incidents() {
	p := c.script
	if g := p.GoAway; g != nil && !c.away && !c.leaving && c.requests >= g.After && p.goAways.take() {
		c.sendAway(g)
	}
	if e := p.ErrorLimit; e != nil &&
		(e.Errors > 0 && c.errors >= e.Errors || e.BadTokens > 0 && c.badTokens >= e.BadTokens) {
		c.goAway(c.maxID)
	}
	if b := p.BlackHole; b != nil && !c.out.muted && c.requests >= b.After && p.darkens.take() {
		c.out.muted = true
	}
}

func (c *conn) sendAway(g *GoAway) {
	switch g.Mode {
	case Cut:
		reset(c.raw)
	case Abrupt:
		c.goAbruptly()
	case Double:
		c.away = true
		c.writeGoAway(math.MaxInt32, g.Cause)
		c.later(event{what: fixLastStream}, milliseconds(g.Pause))
	default:
		c.goAway(c.maxID)
	}
}

// goAway lets streams up to last finish and looks at no others.
func (c *conn) goAway(last uint32) {
	if c.leaving {
		return
	}
	c.leaving, c.last = true, last
	var cause Reason
	if g := c.script.GoAway; g != nil {
		cause = g.Cause
	}
	c.writeGoAway(last, cause)
	if len(c.streams) == 0 {
		c.finish = true
	}
	c.touch()
}

// goAbruptly answers at once what has a verdict. The last stream is the highest
// below which all have one, so that no push is left in doubt.
func (c *conn) goAbruptly() {
	for _, s := range c.streams {
		if s.answer.status != 0 && !s.waiting {
			s.answer.piece = 0
			c.advance(s)
		}
	}
	last := c.maxID
	for id, s := range c.streams {
		if s.answer.status == 0 {
			last = min(last, id-1)
		}
	}
	if last%2 == 0 && last > 0 {
		last--
	}
	c.goAway(last)
	c.finish = true
}

// goAwayBecause ends the connection with a reason that holds for all that was
// asked on it.
func (c *conn) goAwayBecause(cause Reason) {
	if c.leaving {
		return
	}
	c.leaving, c.last, c.finish = true, 0, true
	c.writeGoAway(0, cause)
	c.touch()
}

func (c *conn) writeGoAway(last uint32, cause Reason) {
	var data []byte
	if cause != "" {
		data = appleBody(cause, nil)
	}
	c.sim.counts.goAways.Add(1)
	c.framer.WriteGoAway(last, http2.ErrCodeNo, data)
	c.sim.record.touch()
}

// throttle follows an answer with the limit that it has earned.
func (c *conn) throttle(status int) {
	if c.script.Throttle == nil {
		return
	}
	switch {
	case status == 200:
		c.offer(c.script.limit, c.window)
	case 400 <= status && status < 500 && status != 410:
		c.offer(c.script.low, c.window)
	}
}
