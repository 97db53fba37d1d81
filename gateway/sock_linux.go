package gateway

import (
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged is the number of bytes that the peer's kernel has not acknowledged
// yet; our FIN counts as one. ok is false where that cannot be known.
func unacknowledged(fd int) (n int, ok bool) {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n, err == nil
}

// received is how many bytes our kernel has that were not read yet.
func received(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// finCame reports whether our kernel has the peer's FIN, and that came before ours was
// acknowledged.
func finCame(fd int) bool {
	p, ok := progressOf(fd)
	return ok && p.endedFirst
}

// writtenTo is how many bytes were written to fd so far, on the scale of TCP's count of
// acknowledged bytes. ok is false where that cannot be known.
func writtenTo(fd int) (n int64, ok bool) {
	p, ok := progressOf(fd)
	waiting, known := unacknowledged(fd)
	return p.acknowledged + int64(waiting), ok && known
}

// roundTrip is the smoothed round-trip time to the peer. ok is false where it cannot be
// known.
func roundTrip(fd int) (trip time.Duration, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return time.Duration(info.Rtt) * time.Microsecond, true
}

// hasten makes our kernel acknowledge at once what has come. Left to itself, it waits for
// an answer that the acknowledgement can go with.
func hasten(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

// cork holds back what is written until our FIN goes with it, so that no peer sees one
// without the other.
func cork(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1) }

// uncork sends what was held back.
func uncork(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 0) }

// progressOf is how far the peer's kernel has come. ok is false where that cannot be
// known.
func progressOf(fd int) (p progress, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return progress{}, false
	}
	p.acknowledged = int64(info.Bytes_acked)
	switch info.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		p.endedFirst = true
	case unix.BPF_TCP_CLOSE:
		p.over = true
	}
	return p, true
}
