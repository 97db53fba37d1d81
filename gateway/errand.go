package gateway

import (
	"context"

	"github.com/panjf2000/gnet/v2"
)

// errand tells whether a call of act is on its way.
type errand uint8

const (
	none errand = iota
	underway
	never // the connection is gone
)

// request is what was asked of the connection and is not done yet.
type request struct {
	last        *lastWord // set by the first call of Fail or Close; stays
	resume      bool
	speak       bool // check whether our side may end
	lookBack    bool // check whether the packet arrived
	enrollError error
	retry       bool
	abort       error
}

// ask notes a request and makes sure that act runs. Once the connection is gone it
// does nothing: the loops may be gone too.
func (c *Conn) ask(note func(*request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errand == never {
		return
	}
	note(&c.asked)
	c.kick()
}

func (c *Conn) kick() {
	if c.errand == underway || c.loop == nil {
		return // join will call kick, or act is on its way
	}
	if c.loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		c.act()
		return nil
	})) == nil {
		c.errand = underway
	}
}

// take returns what was asked. The last word stays, so that there is only one.
func (c *Conn) take() request {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.asked
	c.asked = request{last: r.last}
	if c.errand == underway {
		c.errand = none
	}
	return r
}

// act does what was asked, on the loop.
func (c *Conn) act() {
	watched := c.gnet
	c.do(c.take())
	if watched != nil && c.gnet != watched {
		c.loop.Close(watched)
	}
}

func (c *Conn) do(r request) {
	switch {
	case c.ours == reset:
	case r.abort != nil:
		c.finish(r.abort)
	default:
		c.mayEnd(r)
		if r.resume {
			c.full = false
		}
		if r.lookBack {
			c.lookBack()
		}
		if r.enrollError != nil {
			c.enrollFailed(r.enrollError)
		}
		c.goOn()
	}
}

// beginCall is called before gnet's loop does anything with the connection. What is
// asked from then on is done by endCall, and needs no errand.
func (c *Conn) beginCall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errand == none {
		c.errand = underway
	}
}

func (c *Conn) endCall() {
	if r := c.take(); r != (request{last: c.last}) {
		c.do(r)
	}
}

// join gives the connection its loop.
func (c *Conn) join(l *loop) {
	c.scratch = &l.scratch
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loop = l
	if c.asked != (request{last: c.last}) {
		c.kick()
	}
}
