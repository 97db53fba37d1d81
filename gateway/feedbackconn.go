package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// FeedbackConn is one reader of the feedback port. Write and Finish are called by one
// goroutine, Finish only once and last.
type FeedbackConn struct {
	server *FeedbackServer
	tcp    *net.TCPConn
	stream stream
	wire   *feedbackWire
	ctx    context.Context
	cancel context.CancelFunc
	since  time.Time

	base      int64 // the kernel's count of acknowledged bytes before we have written anything
	tuplesEnd int64 // wire.sent after the last tuple; 0 if none was written
	failed    error // from Write: not everything was written, and nothing can follow
	acked     bool

	ended     chan struct{} // closed when the reader has ended its side or is gone
	endReason error         // io.EOF for a FIN
	atEnd     progress      // when the end was seen
}

// progress is how far a peer's kernel has come.
type progress struct {
	acknowledged int64 // bytes since the connection began; our FIN counts as one
	endedFirst   bool  // its FIN came before it acknowledged ours
	over         bool  // both sides have ended, or it was reset
}

func newFeedbackConn(s *FeedbackServer, a *arrival, ctx context.Context, cancel context.CancelFunc) *FeedbackConn {
	r := &FeedbackConn{
		server: s,
		tcp:    a.tcp,
		stream: a.stream,
		wire:   &feedbackWire{TCPConn: a.tcp, ctx: ctx, stall: s.front.limits.FeedbackStall},
		ctx:    ctx,
		cancel: cancel,
		since:  time.Now(),
		ended:  make(chan struct{}),
	}
	a.wire.Conn = r.wire
	r.control(func(fd int) {
		p, _ := progressOf(fd)
		left, _ := unacknowledged(fd) // bytes of the handshake
		r.base = p.acknowledged + int64(left)
	})
	a.tcp.SetReadDeadline(time.Time{})
	context.AfterFunc(ctx, func() { r.tcp.SetDeadline(time.Now()) })
	go r.watch()
	return r
}

// watch waits for the reader's end. A reader has nothing to say, so what it writes is
// not even decrypted.
func (r *FeedbackConn) watch() {
	defer close(r.ended)
	var buf [512]byte
	for junk := 0; ; {
		n, err := r.tcp.Read(buf[:])
		junk += n
		if err == nil && junk > r.server.front.limits.UnparsedBytes {
			err = errNotReading
		}
		if err == nil {
			continue
		}
		r.endReason, r.atEnd = err, r.progress()
		if !errors.Is(err, io.EOF) {
			r.cancel()
		}
		return
	}
}

// Write writes whole tuples, none of them split over two TLS records, and waits until
// the kernel has taken them.
func (r *FeedbackConn) Write(tuples []byte) error {
	for len(tuples) > 0 {
		size, count := wholeTuples(tuples)
		if size == 0 {
			return errCutTuple
		}
		if _, err := r.stream.Write(tuples[:size]); err != nil {
			if isTimeout(err) && r.ctx.Err() == nil {
				r.server.stalled.Add(1)
				err = errStalled
			}
			r.failed = r.reason(err)
			return r.failed
		}
		r.tuplesEnd = r.wire.sent
		r.server.bytes.Add(uint64(size))
		r.server.tuples.Add(uint64(count))
		tuples = tuples[size:]
	}
	return nil
}

// afterTuples is how long the connection stays open after the last tuple: some readers
// take an end that comes while they still read for an error.
const afterTuples = 150 * time.Millisecond

// Finish ends the connection after what was written, at once if that is nothing, and
// waits for the reader to end it too. confirmed says that the reader has got everything:
// it ended its side after it had acknowledged our end, and nothing was reset. If not, err
// says why. This can be known only on Linux; elsewhere nothing is ever confirmed.
func (r *FeedbackConn) Finish() (confirmed bool, err error) {
	err = r.end()
	last := r.progress()
	select {
	case <-r.ended:
		last = r.atEnd
	default:
	}
	r.acked = r.failed == nil && last.acknowledged >= r.base+r.tuplesEnd && (!last.endedFirst || r.gone())
	if err == nil && (last.endedFirst || last.acknowledged <= r.base+r.wire.sent) { // <: our FIN is one more
		err = errEarlyFIN
	}
	if err != nil {
		r.server.unconfirmed.Add(1)
		return false, err
	}
	r.server.confirmed.Add(1)
	return true, nil
}

// Acknowledged reports, after Finish, whether the reader's kernel had every tuple when
// the reader ended the connection. That proves less than that the reader has read them,
// but something: a reader that ends its side early and then takes our end, as
// `openssl s_client </dev/null` does, has not acknowledged them.
func (r *FeedbackConn) Acknowledged() bool { return r.acked }

// end ends our side, and returns nil if the reader's FIN has come too.
func (r *FeedbackConn) end() error {
	if r.failed != nil {
		return r.failed
	}
	patience := r.server.front.limits.FeedbackStall
	if r.tuplesEnd > 0 {
		select {
		case <-r.ended:
		case <-r.ctx.Done():
		case <-time.After(afterTuples):
		}
	} else {
		patience = min(patience, r.server.front.limits.LingerPressed)
	}
	// In one segment with close_notify, so that readers that end at close_notify
	// have acknowledged our FIN by then.
	r.control(cork)
	if err := r.stream.CloseWrite(); err != nil {
		return r.reason(err)
	}
	if err := r.tcp.CloseWrite(); err != nil {
		return r.reason(err)
	}
	if err := r.awaitEnd(patience); err != nil {
		return r.reason(err)
	}
	return nil
}

// gone reports whether a reader that ended its side before we ended ours is gone: it then
// resets the connection in answer to our end, instead of acknowledging it.
func (r *FeedbackConn) gone() bool {
	const often = 5 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	patience := time.After(r.server.front.limits.LingerPressed)
	for {
		p := r.progress()
		if took := p.acknowledged > r.base+r.wire.sent; took || p.over {
			return !took
		}
		select {
		case <-tick.C:
		case <-patience:
			return false
		case <-r.ctx.Done():
			return false
		}
	}
}

// awaitEnd waits for the reader's FIN, as long as the reader takes something now and
// then.
func (r *FeedbackConn) awaitEnd(patience time.Duration) error {
	tick := time.NewTicker(max(patience/100, time.Millisecond))
	defer tick.Stop()
	taken, at := r.progress().acknowledged, time.Now()
	for {
		select {
		case <-r.ended:
			if !errors.Is(r.endReason, io.EOF) {
				return r.endReason
			}
			return nil
		case now := <-tick.C:
			if n := r.progress().acknowledged; n > taken {
				taken, at = n, now
			}
			if now.Sub(at) >= patience {
				r.server.stalled.Add(1)
				return errStalled
			}
		}
	}
}

// reason prefers what the reader did, if that is known, to the error that it led to here.
func (r *FeedbackConn) reason(err error) error {
	select {
	case <-r.ended:
		if !errors.Is(r.endReason, io.EOF) && !isTimeout(r.endReason) {
			r.server.broken.Add(1)
			return r.endReason
		}
	default:
	}
	if ended := r.ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// progress is zero where it cannot be known.
func (r *FeedbackConn) progress() (p progress) {
	r.control(func(fd int) { p, _ = progressOf(fd) })
	return p
}

func (r *FeedbackConn) control(f func(fd int)) { control(r.tcp, f) }

func control(c *net.TCPConn, f func(fd int)) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { f(int(fd)) })
}

func (r *FeedbackConn) close() {
	r.tcp.Close()
	<-r.ended
}
