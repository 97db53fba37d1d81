package gateway

import (
	"errors"
	"io"
	"sync"
)

// A ClientHello is read before its handshake has a place, so that a silent connection
// takes none. Every connection has room for the first bytes of its hello. Up to smallHello
// bytes come out of what all connections of a port may hold together, Connections x 512
// bytes. For more, or when that is used up, the hello needs a place among the handshakes.
const (
	firstHello = 512
	smallHello = 4 << 10
	helloShare = 1 << 9
)

// smallHellos has buffers of smallHello bytes, so that strangers make no garbage.
var smallHellos = sync.Pool{New: func() any { return new([smallHello]byte) }}

var errHelloTooLong = errors.New("gateway: the ClientHello is longer than hello_bytes")

// helloReader holds a hello while it is read, and until the handshake has taken it.
type helloReader struct {
	first [firstHello]byte
	small *[smallHello]byte
	scan  helloScan
}

// read reads from r until the client's first message is complete, or until it is clear
// that crypto/tls will not take it. It returns what it has read, in memory that belongs to
// h. Before it holds more than the first 512 bytes it asks grow for the new size. It does
// not wait for a message that claims to be longer than limit.
func (h *helloReader) read(r io.Reader, limit int, grow func(size int) error) ([]byte, error) {
	buf := h.first[:0:min(firstHello, limit)]
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= limit {
				return nil, errHelloTooLong
			}
			var err error
			if buf, err = h.grow(buf, limit, grow); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		fresh := buf[len(buf) : len(buf)+n]
		buf = buf[:len(buf)+n]
		complete := h.scan.feed(fresh)
		switch {
		case h.scan.size() > limit:
			return nil, errHelloTooLong
		case complete:
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

func (h *helloReader) grow(buf []byte, limit int, grow func(size int) error) ([]byte, error) {
	if cap(buf) < smallHello && limit > firstHello {
		if err := grow(smallHello); err != nil {
			return nil, err
		}
		h.small = smallHellos.Get().(*[smallHello]byte)
		return append(h.small[:0:min(smallHello, limit)], buf...), nil
	}
	if err := grow(limit); err != nil {
		return nil, err
	}
	return append(make([]byte, 0, limit), buf...), nil
}

// release ends the use of what read has returned.
func (h *helloReader) release() {
	if h.small != nil {
		smallHellos.Put(h.small)
		h.small = nil
	}
}

// helloScan looks for the end of a handshake message, which may come in several records
// (RFC 5246, section 6.2.1), or for bytes that are something else altogether. It looks at
// each byte once.
type helloScan struct {
	record  [5]byte // the head of the present record
	message [4]byte // the head of the message
	inHead  int     // bytes of record that have come
	left    int     // bytes of the present record that have not come yet
	have    int     // bytes of the message that have come
	done    bool
}

// feed takes the next bytes, and reports whether they complete the message, or show that
// it is none.
func (h *helloScan) feed(b []byte) (complete bool) {
	const handshake = 22
	for len(b) > 0 && !h.done {
		if h.left > 0 {
			n := min(h.left, len(b))
			if h.have < len(h.message) {
				copy(h.message[h.have:], b[:n])
			}
			h.have += n
			h.left -= n
			b = b[n:]
			h.done = h.have >= len(h.message) && h.have >= h.size()
			continue
		}
		n := copy(h.record[h.inHead:], b)
		h.inHead += n
		b = b[n:]
		if h.record[0] != handshake {
			h.done = true
		} else if h.inHead == len(h.record) {
			h.inHead = 0
			h.left = int(h.record[3])<<8 | int(h.record[4])
			h.done = h.left == 0 || h.left > maxPlaintext
		}
	}
	return h.done
}

// size is the size of the message according to its head; 0 as long as that is incomplete.
func (h *helloScan) size() int {
	if h.have < len(h.message) {
		return 0
	}
	return len(h.message) + (int(h.message[1])<<16 | int(h.message[2])<<8 | int(h.message[3]))
}
