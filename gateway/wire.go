package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"apnsbridge/gateway/unix"
)

// wire is the net.Conn under a tls.Conn. What is below it changes when the handshake is
// done.
type wire struct {
	net.Conn
	arrival *arrival // nil once the handshake is done
	left    int      // bytes that the handshake may still read
	replied bool     // the client has answered our hello
}

var errHandshakeTooLong = errors.New("gateway: the handshake is longer than unparsed_bytes")

// Read bounds what is read in a handshake: crypto/tls would take a certificate of 256 KiB.
func (w *wire) Read(b []byte) (int, error) {
	if w.arrival == nil {
		return w.Conn.Read(b)
	}
	if w.left <= 0 {
		return 0, errHandshakeTooLong
	}
	n, err := w.Conn.Read(b[:min(len(b), w.left)])
	w.left -= n
	w.arrival.last.add(b[:n])
	if n > 0 && !w.replied && w.arrival.desk != nil { // its hello was read before
		w.replied = true
		w.arrival.front.gate.goesOn(w.arrival.turn)
	}
	return n, err
}

// Write makes our kernel acknowledge what has come at once, both with our answers in the
// handshake and after them. With TLS 1.3 the last word of the handshake is the client's:
// until that is acknowledged, Nagle's algorithm holds back the frames after it, and a
// client that resets the connection throws them away.
func (w *wire) Write(b []byte) (int, error) {
	a := w.arrival
	if a == nil {
		return w.Conn.Write(b)
	}
	a.answered.Store(true) // before the client can see the answer
	a.front.computing.end()
	n, err := w.Conn.Write(b)
	a.front.computing.begin(a.place.from)
	control(a.tcp, hasten)
	a.front.gate.goesOn(a.turn)
	return n, err
}

// stream is where the provider's plain bytes come from: a tls.Conn, or plain.
type stream interface {
	io.ReadWriter
	CloseWrite() error // sends close_notify; our FIN is sent separately
}

// plain is the stream of a client whose TLS was ended by a program in front of us.
type plain struct{ *wire }

func (plain) CloseWrite() error { return nil }

// prefixed is the connection of a handshake of which something was read already.
type prefixed struct {
	*net.TCPConn
	head    []byte
	arrival *arrival
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.read(b)
}

// read reads what the client owes us. It sets owed before it takes anything out of the kernel,
// so that whoever looks finds it in one place or the other.
func (p *prefixed) read(b []byte) (n int, err error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	p.arrival.front.computing.end()
	defer p.arrival.front.computing.begin(p.arrival.place.from)
	failed := raw.Read(func(fd uintptr) (done bool) {
		for {
			p.arrival.owed.Store(true)
			switch n, err = unix.Read(int(fd), b); err {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				p.arrival.owed.Store(false)
				return false
			}
			return true
		}
	})
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		p.arrival.owed.Store(false)
		return 0, io.EOF
	}
	return n, nil
}

// wouldBlock says that there is nothing more to read for now. To crypto/tls a net.Error that
// is temporary is not the end of the connection: it keeps the part of a record that it has.
type wouldBlock struct{}

// Error is the text for a log, should it ever get there.
func (wouldBlock) Error() string   { return "gateway: nothing more to read for now" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

var errWouldBlock net.Error = wouldBlock{}

// dry is a connection from which nothing more is read for now.
type dry struct{ net.Conn }

func (dry) Read([]byte) (int, error) { return 0, errWouldBlock }

// errSendBuffer ends the connection of a provider that makes us write (a TLS KeyUpdate asks
// for an answer) but does not read. An error response with its close_notify always fits.
var errSendBuffer = errors.New("gateway: the provider does not read what we have to write")

// loopWire is the wire of a connection on its loop. It hands out what the loop has read, and
// writes to the descriptor; neither ever waits.
type loopWire struct {
	conn *Conn
	raw  []byte // what was read and crypto/tls has not taken yet
	eof  bool   // the provider's FIN follows raw
	sent int    // bytes written since the handshake
}

func (w *loopWire) Read(b []byte) (int, error) {
	if len(w.raw) > 0 {
		n := copy(b, w.raw)
		w.raw = w.raw[n:]
		return n, nil
	}
	if w.eof {
		return 0, io.EOF
	}
	return 0, errWouldBlock
}

// Write writes all of b or fails. It bypasses gnet, for whose buffer we would have to wait;
// the kernel's is empty when we write our few bytes.
func (w *loopWire) Write(b []byte) (int, error) {
	for {
		n, err := unix.Write(w.conn.descriptor(), b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN, err == nil && n < len(b):
			return max(n, 0), errSendBuffer
		case err != nil:
			return 0, err
		}
		w.sent += n
		return n, nil
	}
}

func (w *loopWire) Close() error                     { return nil }
func (w *loopWire) LocalAddr() net.Addr              { return nil }
func (w *loopWire) RemoteAddr() net.Addr             { return nil }
func (w *loopWire) SetDeadline(time.Time) error      { return nil }
func (w *loopWire) SetReadDeadline(time.Time) error  { return nil }
func (w *loopWire) SetWriteDeadline(time.Time) error { return nil }
