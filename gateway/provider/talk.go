package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"apnsbridge/binproto"
)

// outcome is how one connection ended. With none of the three it failed, and
// another one is worth a try.
type outcome struct {
	finished bool // all was written, and the gateway had its last say
	forward  bool // an error packet, behind which there is more to do
	final    bool // err will not go away
	err      error
}

// reply is what a connection's reader came to: a packet, or the end.
type reply struct {
	binproto.Response
	err error
}

// connect has one connection and writes what is there to be written, until an
// error packet or the end.
func (s *sending) connect(ctx context.Context) outcome {
	s.mu.Lock()
	s.history.reconnect()
	s.mu.Unlock()
	c, err := Dial(ctx, s.Addr, s.TLS)
	if err != nil {
		return outcome{err: err}
	}
	s.report.Connections++
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	replies := make(chan reply, 1)
	go listen(c, replies)

	r, ended := s.talk(ctx, c, replies)
	end := s.judge(r, ended)
	if r.err == nil {
		c.CloseWrite()
	} else {
		c.Close()
	}
	for range replies { // until the reader is gone
	}
	c.Close()
	return end
}

// listen waits for the packet or the end, of which nothing but farewell is left,
// and then reads on until the gateway has ended.
func listen(c *Conn, replies chan<- reply) {
	defer close(replies)
	r, err := c.ReadResponse()
	c.SetDeadline(time.Now().Add(farewell))
	replies <- reply{r, err}
	if err == nil {
		io.Copy(io.Discard, c)
	}
}

// talk writes until there is a reply. ended says that all was written and our
// side ended before it came.
func (s *sending) talk(ctx context.Context, c *Conn, replies <-chan reply) (r reply, ended bool) {
	for {
		b, wait, complete := s.unwritten()
		if len(b) > 0 {
			n, err := c.Write(b)
			s.wrote(n)
			if err != nil {
				return afterWriteError(c, err, replies), false
			}
			select {
			case r := <-replies:
				return r, false
			default:
				continue
			}
		}
		if complete && wait <= 0 {
			return s.end(ctx, c, replies)
		}
		var more <-chan struct{} // what is there already comes first
		var turn <-chan time.Time
		if wait > 0 {
			turn = time.After(wait)
		} else {
			more = s.more
		}
		select {
		case <-more:
		case <-turn:
		case r := <-replies:
			return r, false
		case <-ctx.Done():
			return reply{err: ctx.Err()}, false
		}
	}
}

// afterWriteError waits for the packet that explains why nothing more can be
// written.
func afterWriteError(c *Conn, err error, replies <-chan reply) reply {
	c.SetReadDeadline(time.Now().Add(farewell))
	r := <-replies
	if errors.Is(r.err, io.EOF) || errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = err
	}
	return r
}

// end waits a while for a packet, ends our side and waits for the gateway to end
// its own.
func (s *sending) end(ctx context.Context, c *Conn, replies <-chan reply) (r reply, ended bool) {
	quiet := time.NewTimer(max(s.Quiet, 0))
	defer quiet.Stop()
	select {
	case r := <-replies:
		return r, false
	case <-ctx.Done():
		return reply{err: ctx.Err()}, false
	case <-quiet.C:
	}
	if err := c.CloseWrite(); err != nil {
		return afterWriteError(c, err, replies), false
	}
	linger := time.NewTimer(s.Linger)
	defer linger.Stop()
	select {
	case r := <-replies:
		return r, true
	case <-ctx.Done():
		return reply{err: ctx.Err()}, true
	case <-linger.C:
		return reply{err: fmt.Errorf("did not end the connection within %v of our end", s.Linger)}, true
	}
}

// judge says what a reply means.
func (s *sending) judge(r reply, ended bool) outcome {
	var alert *net.OpError
	switch {
	case r.err == nil:
		if s.answer(r.Response) {
			return outcome{forward: true}
		}
		return outcome{err: fmt.Errorf("gateway %s: its error packet (%w) names identifier %d, which is not remembered",
			s.Addr, r.Status, r.Identifier)}
	case ended && errors.Is(r.err, io.EOF):
		return outcome{finished: true}
	case errors.Is(r.err, io.EOF):
		r.err = errors.New("ended the connection without a packet")
	}
	err := fmt.Errorf("gateway %s: %w", s.Addr, r.err)
	s.lost(err)
	// Only a word of the other side's TLS is an operation of this name: it does
	// not want this certificate, and will not the next time.
	refused := errors.As(r.err, &alert) && alert.Op == "remote error"
	return outcome{final: ended || refused, err: err}
}
