package gateway

import (
	"context"

	"github.com/panjf2000/gnet/v2"
)

// errand is whether act is on its way.
type errand uint8

const (
	none errand = iota
	underway
	never // the connection has gone
)

// request is what has been asked of the connection and not yet done.
type request struct {
	last        *lastWord // Fail or Close was called; stays
	resume      bool
	speak       bool // it is time to look whether our side may end
	lookBack    bool // it is time to look how the packet fared
	enrollError error
	retry       bool
	abort       error
}

// ask notes a request and sees that act runs. Once the connection is dead it
// does nothing: the loops may be gone.
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
		return // join will, or act is on its way
	}
	if c.loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		c.act()
		return nil
	})) == nil {
		c.errand = underway
	}
}

// take returns what has been asked. The last word stays, so that there is but one.
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

// act is the errand: it does what has been asked.
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
// asked from then on waits for endCall, and costs no errand.
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
