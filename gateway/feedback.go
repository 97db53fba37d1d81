package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/pace"
)

// FeedbackOpener gives one reader what there is for it: tuples with r.Write, then
// r.Finish. It runs in a goroutine of its own. The first tuple has to be written at
// once: some readers wait for only 100 ms. ctx ends with the reader, after
// FeedbackTotal, or with the server. r is closed when FeedbackOpener returns.
type FeedbackOpener func(ctx context.Context, r *FeedbackConn)

// FeedbackConfig says how a FeedbackServer works.
type FeedbackConfig struct {
	Port

	// Admit decides about a client, as in Config.
	Admit func(*Hello) (FeedbackOpener, error)
}

// FeedbackServer is the feedback port.
type FeedbackServer struct {
	front  *front
	polls  polls
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	serving map[*FeedbackConn]*place

	bytes, tuples                   atomic.Uint64
	confirmed, unconfirmed, stalled atomic.Uint64
	broken, tooOften                atomic.Uint64
}

// FeedbackStats are the figures of a FeedbackServer.
type FeedbackStats struct {
	PortStats
	Readers      int // being served
	ClientsPaced int // clients whose rate of reading is known; Connections at most
	Bytes        uint64
	Tuples       uint64 // written, not necessarily read
	Confirmed    uint64 // readers that got everything
	Unconfirmed  uint64 // readers that may not have got everything
	Broken       uint64 // of Unconfirmed: reset
	Stalled      uint64 // of Unconfirmed: took nothing for FeedbackStall
	TooOften     uint64 // closed at once: FeedbackRatePerClient
}

// NewFeedbackServer opens the endpoints. Serve accepts connections. Close must be
// called in any case.
func NewFeedbackServer(c FeedbackConfig) (*FeedbackServer, error) {
	s := &FeedbackServer{serving: make(map[*FeedbackConn]*place)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	s.front, err = newFront(c.Port, func(h *Hello) (func(*arrival), error) {
		open, err := c.Admit(h)
		if err != nil {
			return nil, err
		}
		return func(a *arrival) { s.serve(a, open) }, nil
	})
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.front.yield = s.yield
	s.polls.pace = pace.NewEach[string](s.front.limits.FeedbackRatePerClient, s.front.limits.Connections)
	return s, nil
}

// Addrs are the addresses listened on, in the order of the endpoints.
func (s *FeedbackServer) Addrs() []net.Addr { return s.front.addrs() }

// Addr is the first of Addrs.
func (s *FeedbackServer) Addr() net.Addr { return s.front.addrs()[0] }

// Serve accepts connections until Shutdown or Close and then returns
// ErrServerClosed, at once.
func (s *FeedbackServer) Serve() error { return s.front.serve() }

// Shutdown stops accepting and waits for the readers that are being served. If ctx
// ends before that, Shutdown returns its error, and Close is to be called. Handshakes
// that are still under way then are no failure.
func (s *FeedbackServer) Shutdown(ctx context.Context) error {
	s.front.stop()
	done := make(chan struct{})
	go func() {
		s.front.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return s.Close()
	case <-ctx.Done():
		if readers := s.reading(); readers > 0 {
			return fmt.Errorf("gateway: feedback readers that are not served to the end: %d: %w", readers, ctx.Err())
		}
		return s.Close()
	}
}

// Close ends everything at once, and returns when all descriptors and goroutines
// are gone.
func (s *FeedbackServer) Close() error {
	s.cancel()
	s.front.abort()
	return nil
}

// Stats returns the figures as they are now.
func (s *FeedbackServer) Stats() FeedbackStats {
	return FeedbackStats{
		PortStats:    s.front.stats(),
		ClientsPaced: s.polls.remembered(),
		Readers:      s.reading(),
		Bytes:        s.bytes.Load(),
		Tuples:       s.tuples.Load(),
		Confirmed:    s.confirmed.Load(),
		Unconfirmed:  s.unconfirmed.Load(),
		Broken:       s.broken.Load(),
		Stalled:      s.stalled.Load(),
		TooOften:     s.tooOften.Load(),
	}
}

func (s *FeedbackServer) serve(a *arrival, open FeedbackOpener) {
	defer s.front.census.leave(a.place)
	if client := a.hello.Client; client != "" && !s.polls.admit(client) {
		s.tooOften.Add(1)
		a.log(s.front.seldom.Warn()).Str("limit", "feedback_rate_per_client").Msg("a client reads its feedback too " +
			"often")
		a.farewell()
		a.tcp.Close()
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.front.limits.FeedbackTotal)
	defer cancel()
	a.tcp.SetKeepAliveConfig(keepAlive)
	r := newFeedbackConn(s, a, ctx, cancel)
	defer r.close()
	s.enter(r, a.place)
	defer s.leave(r)
	open(ctx, r)
}

func (s *FeedbackServer) enter(r *FeedbackConn, p *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving[r] = p
}

func (s *FeedbackServer) leave(r *FeedbackConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.serving, r)
}

func (s *FeedbackServer) reading() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.serving)
}

// yield ends the reader that was connected longest, of the app that is furthest beyond its
// share. What it has not read stays on the list.
func (s *FeedbackServer) yield(excess map[string]int) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gives *FeedbackConn
	var its *place
	for r, p := range s.serving {
		if n := excess[p.app]; n > 0 && (gives == nil || n > excess[its.app] ||
			p.app == its.app && r.since.Before(gives.since)) {
			gives, its = r, p
		}
	}
	if gives != nil {
		delete(s.serving, gives)
		gives.cancel()
	}
	return its
}

// polls holds clients to their rate of reading.
type polls struct {
	mu   sync.Mutex
	pace *pace.Each[string]
}

func (p *polls) admit(client string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.pace.Take(client, time.Now(), 0)
	return ok
}

func (p *polls) remembered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pace.Remembered()
}

var (
	errCutTuple   = errors.New("gateway: feedback ends within a tuple")
	errStalled    = errors.New("gateway: the reader has taken nothing for too long")
	errEarlyFIN   = errors.New("gateway: the reader ended its side before it could have read everything")
	errNotReading = errors.New("gateway: the reader writes instead of reading")
)

// wholeTuples gives how many bytes at the start of b fit in one TLS record without
// cutting a tuple, and how many tuples they are.
func wholeTuples(b []byte) (size, count int) {
	var t binproto.Tuple
	for size < len(b) {
		n, err := binproto.ParseTuple(b[size:], &t)
		if err != nil || size+n > maxPlaintext {
			break
		}
		size += n
		count++
	}
	return size, count
}

// feedbackWire goes on writing as long as the reader takes something now and then.
type feedbackWire struct {
	*net.TCPConn
	ctx   context.Context // when it ends, all deadlines are set to the present
	stall time.Duration
	sent  int64
}

func (w *feedbackWire) Write(b []byte) (int, error) {
	for done := 0; ; {
		if err := w.TCPConn.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
			return done, err
		}
		if err := w.ctx.Err(); err != nil {
			return done, err
		}
		n, err := w.TCPConn.Write(b[done:])
		done += n
		w.sent += int64(n)
		if done == len(b) || err != nil && (n == 0 || !isTimeout(err)) {
			return done, err
		}
	}
}

// SetWriteDeadline does nothing. crypto/tls calls it around close_notify, but Write sets
// its own deadlines.
func (w *feedbackWire) SetWriteDeadline(time.Time) error { return nil }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
