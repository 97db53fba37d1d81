package h2conn

import (
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/net/http2"
)

// machine is a connection without lock, clock or I/O: requests and frames go
// in; bytes to write and requests that have ended come out. Times are
// nanoseconds since the connection was made.
type machine struct {
	cfg    *Config
	state  State
	reason error   // why it is draining or closed
	goAway *GoAway // the last one

	out     []byte // whole frames, not yet handed to the network
	handed  uint64 // bytes handed over before those
	control int    // bytes of out that answer the server

	slots
	flow    flow
	peer    settings
	lowered uint32 // the next stream when the server last lowered its limit
	encoder encoder
	health  health
	partial partialHead
	fields  fieldReader

	done   batch
	spare  []*Response // to be used again
	refill refill
	stats  Stats
}

// A batch is what ended since the last delivery, and the responses to be taken
// back afterwards.
type batch struct {
	requests  []*Request
	responses []*Response
}

func newMachine(cfg *Config) machine {
	m := machine{
		cfg:     cfg,
		slots:   newSlots(cfg.MaxStreams),
		flow:    flow{window: defaultWindow, credit: int64(cfg.ReceiveWindow)},
		peer:    initialSettings(),
		encoder: newEncoder(cfg.HeaderTableBytes),
		fields:  fieldReader{table: table{max: initialTable}},
		refill:  refill{wanted: true, piece: maxPiece},
	}
	m.appendGreeting()
	return m
}

// limit is how many streams may be open now.
func (m *machine) limit() int {
	return int(min(uint32(min(m.cfg.MaxStreams, math.MaxInt32)), m.peer.maxStreams))
}

// room is how many requests may be sent now. There is none while bodies wait
// for the connection's window or the buffer: a request is better off with its
// owner than half on the wire.
func (m *machine) room() int {
	if m.state != Open || len(m.out) >= m.cfg.WriteBytes || m.flow.window <= 0 {
		return 0
	}
	return max(0, m.limit()-m.open)
}

func (m *machine) submit(r *Request, now int64) error {
	switch m.state {
	case Draining:
		return ErrDraining
	case Closed:
		return ErrClosed
	}
	if m.room() == 0 {
		m.refill.wanted = true
		return ErrNoRoom
	}
	if err := r.check(); err != nil {
		return err
	}
	if size := r.headerListSize(); uint64(size) > uint64(m.peer.maxHeaderList) {
		return &RequestError{fmt.Sprintf("header list of %d bytes, the server takes %d", size, m.peer.maxHeaderList)}
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = m.cfg.RequestTimeout
	}
	s := m.add(now + int64(timeout))
	if s == nil {
		m.drain(ErrIDsSpent)
		return ErrDraining
	}
	s.req, s.window, s.credit = r, m.peer.initialWindow, int64(m.cfg.streamWindow())
	r.stream, r.Fate, r.Err, r.Response = s.id, Answered, nil, nil
	m.stats.Requests++
	m.appendHead(s)
	m.sendBody(s)
	return nil
}

// handOver gives away what is to be written, in exchange for an empty buffer.
func (m *machine) handOver(empty []byte) []byte {
	b := m.out
	m.out = empty[:0]
	m.handed += uint64(len(b))
	m.control = 0
	if m.state != Closed {
		m.pump()
	}
	return b
}

// stream finds what a frame speaks of: nil for a stream that has ended, of
// which late frames are normal (RFC 9113, 5.1).
func (m *machine) stream(fh http2.FrameHeader) (*slot, *violation) {
	if id := fh.StreamID; id == 0 || id%2 == 0 || id >= m.next {
		return nil, breach(http2.ErrCodeProtocol, "%v on stream %d, which was never opened", fh.Type, id)
	}
	return m.find(fh.StreamID), nil
}

// finish takes a request off its stream, for the next delivery.
func (m *machine) finish(s *slot, fate Fate, err error) {
	r := s.req
	r.stream, r.Fate, r.Err = 0, fate, err
	if s.resp != nil {
		if s.headed {
			r.Response = s.resp
		}
		m.done.responses = append(m.done.responses, s.resp)
	}
	m.done.requests = append(m.done.requests, r)
	m.stats.Ended[fate]++
	m.remove(s)
}

// left reports whether a request was handed to the network whole.
func (m *machine) left(s *slot) bool { return s.whole != 0 && s.whole <= m.handed }

// disown ends a stream that the server says it has not processed, unless it has
// begun to answer it.
func (m *machine) disown(s *slot, err error) {
	if s.resp != nil {
		m.finish(s, Unanswered, err)
	} else {
		m.finish(s, Unprocessed, err)
	}
}

// cancel ends a stream that the server may still be busy with.
func (m *machine) cancel(s *slot, fate Fate, err error) {
	m.appendReset(s.id, http2.ErrCodeCancel)
	m.finish(s, fate, err)
}

// malformed ends a stream whose response cannot be used.
func (m *machine) malformed(s *slot, code http2.ErrCode, text string) {
	m.appendReset(s.id, code)
	m.finish(s, Malformed, &violation{code, text})
}

// response returns a clean Response for a stream.
func (m *machine) response() *Response {
	n := len(m.spare)
	if n == 0 {
		return &Response{Values: make([][]byte, len(m.cfg.Want))}
	}
	r := m.spare[n-1]
	m.spare = m.spare[:n-1]
	return r
}

// maxKeptBody is the buffer that a spare Response keeps, in bytes.
const maxKeptBody = 1 << 10

// reuse takes a delivered batch back.
func (m *machine) reuse(b batch) {
	for _, r := range b.responses {
		if len(m.spare) >= m.cfg.MaxStreams {
			break
		}
		r.Status = 0
		for i := range r.Values {
			r.Values[i] = r.Values[i][:0]
		}
		if r.Body = r.Body[:0]; cap(r.Body) > maxKeptBody {
			r.Body = nil
		}
		m.spare = append(m.spare, r)
	}
	clear(b.requests)
	clear(b.responses)
	if m.done.requests == nil {
		m.done = batch{b.requests[:0], b.responses[:0]}
	}
}

// maxBurst is how many answers are worth waiting for: more would cost no less,
// and the server must not run out of requests meanwhile.
const maxBurst = 128

// worthwhile is how many bytes of answers are worth a moment's wait, so that
// they come at once: those to a part of what is open, as long as answers have been
// so far. 1 is whatever comes. read is how many bytes were received.
func (m *machine) worthwhile(read uint64) int {
	answers := min(maxBurst, 1<<bits.Len(uint(m.open/8))) // in steps: each change is a system call
	answered := m.stats.Ended[Answered]
	if answers < 8 || answered == 0 {
		return 1
	}
	return answers * int(min(read/answered, uint64(m.cfg.ResponseBytes)))
}
