package gateway

import "golang.org/x/sys/unix"

// unacknowledged is the number of bytes that the peer's kernel has not yet
// acknowledged; our FIN counts as one. ok is false where nobody can tell.
func unacknowledged(fd int) (n int, ok bool) {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n, err == nil
}

// cork holds back what is written until our FIN goes with it: nobody then sees
// one without the other.
func cork(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1) }

// progressOf says how far the peer's kernel has come. ok is false where nobody
// can tell.
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
