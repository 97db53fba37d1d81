package apnssim

import (
	"encoding/json"
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
		c.writeGoAway(math.MaxInt32)
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
	c.writeGoAway(last)
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

func (c *conn) writeGoAway(last uint32) {
	var data []byte
	if g := c.script.GoAway; g != nil && g.Cause != "" {
		data, _ = json.Marshal(struct {
			Reason Reason `json:"reason"`
		}{g.Cause})
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
	case 400 <= status && status < 500:
		c.offer(c.script.low, c.window)
	}
}
