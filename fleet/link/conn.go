package link

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one end of a link: a writer that sends what was appended during the last write in one
// piece, a reader, and a watch that sends signs of life and ends the link when the other side
// has been silent for too long.
type conn struct {
	config Config
	tls    *tls.Conn
	node   string // at the other end
	limit  int    // bytes that may wait to be written

	heard atomic.Uint64 // messages that have come
	wrote atomic.Uint64 // writes that have begun and ended: odd while one is under way
	state atomic.Uint32 // what the other side last said of itself
	wake  chan struct{}
	done  chan struct{} // closed when the link has ended
	wg    sync.WaitGroup

	mu      sync.Mutex
	pending []byte // messages to be written
	spare   []byte
	err     error // why the link has ended
}

func newConn(c Config, t *tls.Conn, limit int) *conn {
	return &conn{config: c, tls: t, limit: limit, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// greet exchanges hellos.
func (c *conn) greet() error {
	_ = c.tls.SetDeadline(time.Now().Add(c.config.Handshake))
	if _, err := c.tls.Write(appendHello(nil, c.config.Node)); err != nil {
		return err
	}
	var head [headLen]byte
	if _, err := io.ReadFull(c.tls, head[:]); err != nil {
		return err
	}
	h, err := parseHeader(head[:])
	switch {
	case err != nil:
		return err
	case h.kind != hello || h.length > 1+maxNode:
		return fmt.Errorf("link: a message of kind %d with %d bytes in place of a hello", h.kind, h.length)
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(c.tls, body); err != nil {
		return err
	}
	if c.node, err = parseHello(body); err != nil {
		return err
	}
	return c.tls.SetDeadline(time.Time{})
}

// run reads and writes until the link ends. It calls take for each message, whose body is
// borrowed, and rest whenever everything that has come so far was taken.
func (c *conn) run(take func(h header, body []byte) error, rest func()) {
	c.wg.Go(c.write)
	c.wg.Go(c.watch)
	c.fail(c.receive(take, rest))
	c.wg.Wait()
}

func (c *conn) receive(take func(h header, body []byte) error, rest func()) error {
	r := bufio.NewReaderSize(c.tls, 64<<10)
	var large []byte
	for {
		head, err := r.Peek(headLen)
		if err != nil {
			return err
		}
		h, err := parseHeader(head)
		if err != nil {
			return err
		}
		var body []byte
		if size := headLen + h.length; size <= r.Size() {
			b, err := r.Peek(size)
			if err != nil {
				return err
			}
			body = b[headLen:]
		} else {
			if _, err := r.Discard(headLen); err != nil {
				return err
			}
			large = append(large[:0], make([]byte, h.length)...)
			if _, err := io.ReadFull(r, large); err != nil {
				return err
			}
			body = large
		}
		c.heard.Add(1)
		if h.kind == alive {
			if err := hasLength(alive, body, 1); err != nil {
				return err
			}
			c.state.Store(uint32(body[0]))
		} else if err := take(h, body); err != nil {
			return err
		}
		if headLen+h.length <= r.Size() {
			_, _ = r.Discard(headLen + h.length) // cannot fail: they are buffered
		}
		if r.Buffered() == 0 {
			rest()
		}
	}
}

// write sends what is pending, until the link ends.
func (c *conn) write() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.mu.Lock()
		b := c.pending
		c.pending, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		c.wrote.Add(1)
		if _, err := c.tls.Write(b); err != nil {
			c.fail(err)
			return
		}
		c.wrote.Add(1)
		c.mu.Lock()
		if cap(b) <= 1<<20 {
			c.spare = b
		}
		c.mu.Unlock()
	}
}

// watch ends the link when too many signs of life in a row have failed to come, or one write
// takes as long. It counts by our own signs, for time in which this process sleeps is no silence:
// what the other side has written meanwhile is still to be read, and what it has read makes room.
func (c *conn) watch() {
	tick := time.NewTicker(c.config.Alive)
	defer tick.Stop()
	before, missed := uint64(0), 0
	writing, stuck := uint64(0), 0
	for {
		select {
		case <-tick.C:
		case <-c.done:
			return
		}
		heard := c.heard.Load()
		if missed++; heard != before {
			before, missed = heard, 0
		}
		wrote := c.wrote.Load()
		if stuck++; wrote%2 == 0 || wrote != writing {
			writing, stuck = wrote, 0
		}
		switch {
		case missed > silences:
			c.fail(errSilent)
			return
		case stuck > silences:
			c.fail(errControl)
			return
		}
		c.tell()
	}
}

// unlock releases c.mu after messages were appended to c.pending, and gets them written.
func (c *conn) unlock() {
	over := len(c.pending) > c.limit
	c.mu.Unlock()
	if over {
		c.fail(errControl)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send queues a message to be written.
func (c *conn) send(k kind, session uint32, body ...byte) {
	c.mu.Lock()
	c.pending = appendMessage(c.pending, k, session, body...)
	c.unlock()
}

// tell sends a sign of life with our state at once, ahead of its time.
func (c *conn) tell() {
	state := c.config.State()
	c.mu.Lock()
	c.pending = appendMessage(c.pending, alive, 0, state)
	c.unlock()
}

// fail ends the link. Only the first reason counts.
func (c *conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = fmt.Errorf("link with %s: %w", c.node, err)
	}
	c.mu.Unlock()
	if first {
		close(c.done)
		_ = c.tls.SetDeadline(time.Now()) // so that Close does not wait for a blocked writer
		_ = c.tls.NetConn().Close()
	}
}

// reason is why the link has ended.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
