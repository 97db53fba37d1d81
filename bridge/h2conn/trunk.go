package h2conn

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// trunk is the network connection below TLS. It reads in large pieces and asks
// before it has to wait how much is worth waiting for; it keeps back the records
// of one TLS write, so that they leave in one.
type trunk struct {
	net.Conn
	buf        []byte
	start, end int // of what is unread in buf
	lowWater   lowWater
	patience   time.Duration      // for bytes that are worth it
	hasty      bool               // reads have a deadline
	idle       func() (worth int) // called by the reader before it waits for the network
	made       time.Time
	heard      atomic.Int64  // when the last bytes came, in nanoseconds since made
	read       atomic.Uint64 // bytes

	mu     sync.Mutex // TLS writes from the reader too, as for a key update
	corked bool
	held   []byte
}

func newTrunk(nc net.Conn, readBytes int) *trunk {
	return &trunk{
		Conn: nc, buf: make([]byte, readBytes), lowWater: newLowWater(nc), patience: patience,
		idle: func() int { return 1 },
	}
}

// begin is called when the handshake is over. What idle returns is the number of
// bytes for which the reader should have patience; 1 is none.
func (t *trunk) begin(made time.Time, idle func() (worth int)) { t.made, t.idle = made, idle }

func (t *trunk) Read(p []byte) (int, error) {
	if t.start == t.end {
		n, err := t.fill(t.idle())
		if n > 0 {
			t.read.Add(uint64(n))
			t.heard.Store(int64(time.Since(t.made)))
		}
		t.start, t.end = 0, n
		if n == 0 {
			return 0, err
		}
		// An error that came with bytes comes again without.
	}
	n := copy(p, t.buf[t.start:t.end])
	t.start += n
	return n, nil
}

// patience is how long the reader lets bytes come together that are worth it.
const patience = time.Millisecond

// fill reads what has come, or what comes next. A server that writes its answers
// one by one would wake the reader for each: so it sleeps until there are as
// many bytes as it is worth, or patience is over.
func (t *trunk) fill(worth int) (int, error) {
	if worth = min(worth, len(t.buf)/2); worth > 1 && t.lowWater.set(worth) {
		t.hasty = true
		t.SetReadDeadline(time.Now().Add(t.patience))
		n, err := t.Conn.Read(t.buf)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
	if t.hasty {
		t.hasty = false
		t.SetReadDeadline(time.Time{})
		t.lowWater.set(1)
	}
	return t.Conn.Read(t.buf)
}

func (t *trunk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.corked {
		t.held = append(t.held, p...)
		return len(p), nil
	}
	return t.Conn.Write(p)
}

// writeAll writes b through nc, which is the trunk itself or TLS on it, in one
// write to the network.
func (t *trunk) writeAll(nc net.Conn, b []byte) error {
	if nc == net.Conn(t) {
		_, err := t.Conn.Write(b)
		return err
	}
	t.mu.Lock()
	t.corked = true
	t.mu.Unlock()
	_, err := nc.Write(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.corked = false
	if _, e := t.Conn.Write(t.held); err == nil {
		err = e
	}
	if t.held = t.held[:0]; cap(t.held) > maxKeptBuffer {
		t.held = nil
	}
	return err
}

// maxKeptBuffer is the write buffer that a connection keeps between bursts, in
// bytes.
const maxKeptBuffer = 512 << 10
