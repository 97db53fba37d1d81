package provider

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"apnsbridge/binproto"
)

// sending is one call of Send. The caller's goroutine takes notifications into
// the history; run, another one, has the connections.
type sending struct {
	Client

	more chan struct{} // there is something to write, or all is taken
	room chan struct{} // there is room in the history
	done chan struct{} // run has returned
	err  error         // what run returned

	mu       sync.Mutex
	history  history
	complete bool // nothing more will be taken

	// run's own
	report Report
	writes int // how far the history was ever written
	buf    []byte
	turn   time.Time // of the next notification, whichever that will be; zero: not asked for
}

func newSending(c Client) *sending {
	return &sending{
		Client:  c,
		more:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		history: history{limit: c.Remember},
	}
}

// takeAll takes what notes yields, until run returns.
func (s *sending) takeAll(notes iter.Seq[binproto.Notification]) {
	for n := range notes {
		if !s.take(&n) {
			return
		}
	}
	s.mu.Lock()
	s.complete = true
	s.mu.Unlock()
	signal(s.more)
}

func (s *sending) take(n *binproto.Notification) bool {
	for {
		select {
		case <-s.done:
			return false
		default:
		}
		s.mu.Lock()
		if s.Number && n.Command != binproto.Simple {
			n.Identifier, n.HasIdentifier = uint32(s.history.end+1), true
		}
		ok := s.history.put(n)
		s.mu.Unlock()
		if ok {
			signal(s.more)
			return true
		}
		select {
		case <-s.room:
		case <-s.done:
		}
	}
}

// run has one connection after another, until all is said or nothing helps.
func (s *sending) run(ctx context.Context) error {
	failed := 0 // connections in a row
	for {
		if all, err := s.waitForWork(ctx); all || err != nil {
			return err
		}
		end := s.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("gateway %s: %w", s.Addr, ctx.Err())
		case end.err != nil && (end.final || s.report.Connections == 0):
			return end.err
		case end.finished:
			return nil
		case end.forward:
			failed = 0
			continue
		}
		if failed++; failed >= s.Attempts {
			return fmt.Errorf("%d connections in a row failed, the last because: %w", failed, end.err)
		}
		if err := pause(ctx, failed); err != nil {
			return fmt.Errorf("gateway %s: %w", s.Addr, err)
		}
	}
}

// waitForWork waits until there is something to write, or says that all is done.
func (s *sending) waitForWork(ctx context.Context) (all bool, err error) {
	for {
		s.mu.Lock()
		left, complete := s.history.end-s.history.next, s.complete
		s.mu.Unlock()
		if left > 0 || complete {
			return left == 0, nil
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// pause lets the first of a row of failures pass, and waits longer with each other.
func pause(ctx context.Context, failed int) error {
	if failed < 2 {
		return nil
	}
	timer := time.NewTimer(min(firstPause<<min(failed-2, 16), longestPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unwritten gives the next bytes to be written. Where there are none yet, wait is how long
// the next notification has to wait for its turn; with none to wait for, complete says that all is taken.
func (s *sending) unwritten() (b []byte, wait time.Duration, complete bool) {
	const batch = 64 << 10
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf, wait = s.history.unwritten(s.buf[:0], batch, s.nextTurn)
	return s.buf, wait, s.complete
}

// nextTurn takes the turn of the next notification, or says how long that has to wait.
func (s *sending) nextTurn() (wait time.Duration) {
	if s.Turn == nil {
		return 0
	}
	if s.turn.IsZero() {
		s.turn = time.Now().Add(s.Turn())
	}
	if wait = time.Until(s.turn); wait <= 0 {
		s.turn = time.Time{}
	}
	return wait
}

// wrote counts what the connection took of the last bytes from unwritten.
func (s *sending) wrote(n int) {
	s.mu.Lock()
	frames := s.history.wrote(n)
	next := s.history.next
	s.mu.Unlock()
	signal(s.room)
	s.report.Written += frames
	s.report.Resent += max(0, min(next, s.writes)-(next-frames))
	s.writes = max(s.writes, next)
	if s.Progress != nil {
		s.Progress(s.snapshot())
	}
}

// answer takes an error packet: what stands behind the named notification is to
// be written again. It reports whether that leads on.
func (s *sending) answer(r binproto.Response) (forward bool) {
	p := Packet{Response: r, Index: -1}
	s.mu.Lock()
	h := &s.history
	if index, ok := h.find(r.Identifier); ok {
		p.Index, p.Token = index, bytes.Clone(h.at(index).token)
		h.rewind(index + 1)
		if r.Status != binproto.Shutdown { // which names the last one that was sent
			s.report.Failed++
		}
		forward = true
	} else if n := h.forgotten(); n > 0 {
		// It is one of the forgotten, so that all others stand behind it.
		s.report.Forgotten += n
		h.rewind(h.oldest)
	} else {
		s.report.Uncertain += h.next - h.first
		forward = h.next > h.first
	}
	s.mu.Unlock()
	s.report.Packets++
	if s.Packet != nil {
		s.Packet(p)
	}
	return forward
}

// lost counts the present connection's notifications, of which nothing was said.
func (s *sending) lost(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Uncertain += s.history.next - s.history.first
	s.report.End = why
}

func (s *sending) snapshot() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Taken = s.history.end
	return r
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
