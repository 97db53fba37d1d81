package h2conn

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// trunk is the network connection below TLS. It reads in large pieces and tells
// before it has to wait; it keeps back the records of one TLS write, so that
// they leave in one.
type trunk struct {
	net.Conn
	buf        []byte
	start, end int    // of what is unread in buf
	idle       func() // called by the reader before it waits for the network
	made       time.Time
	heard      atomic.Int64  // when the last bytes came, in nanoseconds since made
	read       atomic.Uint64 // bytes

	mu     sync.Mutex // TLS writes from the reader too, as for a key update
	corked bool
	held   []byte
}

func newTrunk(nc net.Conn, readBytes int) *trunk {
	return &trunk{Conn: nc, buf: make([]byte, readBytes)}
}

// begin is called when the handshake is over.
func (t *trunk) begin(made time.Time, idle func()) { t.made, t.idle = made, idle }

func (t *trunk) Read(p []byte) (int, error) {
	if t.start == t.end {
		if t.idle != nil {
			t.idle()
		}
		n, err := t.Conn.Read(t.buf)
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
