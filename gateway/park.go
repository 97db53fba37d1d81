package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/panjf2000/gnet/v2"

	"apnsbridge/gateway/unix"
)

// gnet cannot pause: it reads whatever comes. A connection whose session has no room is
// parked instead: its descriptor is taken away from gnet, so that the kernel's window
// closes and the provider has to wait. When there is room again, the descriptor is read
// directly, and goes back to gnet when there is nothing more to read. Once we have ended
// our side, a connection is no longer parked.

// park takes the descriptor away from gnet, which closes its own when the present call
// returns. What was read before is in stash and partial, or still inside the tls.Conn.
func (c *Conn) park() {
	if c.holder != watched || c.ours == reset {
		return
	}
	fd, err := c.loop.dup(c.gnet.Fd())
	if err != nil {
		c.finish(err)
		return
	}
	c.gnet, c.fd = nil, fd
	c.become(parked)
	c.server.counters.parks.Add(1)
}

// goOn reads a parked connection while there is room.
func (c *Conn) goOn() {
	if c.holder != parked || c.full || c.ours == reset {
		return
	}
	if c.takeStash(); c.full || c.ours == reset {
		return
	}
	// Other connections on the loop wait no longer than gnet would make them.
	for range 2 {
		n, err := unix.Read(c.fd, c.loop.raw)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			c.enroll()
			return
		case err != nil:
			c.broke(os.NewSyscallError("read", err))
			return
		case n == 0:
			c.sawFIN()
			return
		}
		if c.receive(c.loop.raw[:n]); c.full || c.ours == reset {
			return
		}
	}
	c.ask(func(r *request) { r.retry = true })
}

// takeStash gives the session what was read before the connection was parked.
func (c *Conn) takeStash() {
	c.wire.raw, c.stash = c.stash, nil
	c.pump()
	if c.full {
		c.stash = c.wire.raw
	}
	c.wire.raw = nil
	c.countHeld()
}

// enroll gives the descriptor back to gnet, to the same loop. Our own stays open until
// gnet has it.
func (c *Conn) enroll() {
	fd, err := c.loop.dup(c.fd)
	if err != nil {
		c.enrollFailed(err)
		return
	}
	c.become(enrolling)
	before := c.attached.Load()
	c.server.enrolling.Go(func() {
		err := c.loop.enroll(fd, c)
		if err == nil && c.attached.Load() == before {
			err = errNotEnrolled
		}
		if err != nil {
			c.ask(func(r *request) { r.enrollError = err })
		}
	})
}

// enroll blocks until the loop has fd, which it takes over.
func (l *loop) enroll(fd int, c *Conn) error {
	f := os.NewFile(uintptr(fd), "provider")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return err
	}
	if conn.RemoteAddr() == nil { // the connection is gone, and gnet would panic
		conn.Close()
		return unix.ENOTCONN
	}
	enrolled, err := l.Enroll(gnet.NewContext(context.Background(), c), conn)
	if err != nil {
		conn.Close()
		return err
	}
	return (<-enrolled).Err
}

// enrollFailed tries again soon. The commonest reason is that the provider has just ended
// the connection, which the next read will show; the other is that no descriptor is left.
func (c *Conn) enrollFailed(err error) {
	if c.ours != reset {
		c.become(parked)
	}
	c.server.front.often.Debug().Err(err).Stringer("address", c.remote).Msg("cannot watch a connection again yet")
	time.AfterFunc(20*time.Millisecond, func() {
		c.ask(func(r *request) { r.retry = true })
	})
}

// dup duplicates fd. A loop keeps a spare descriptor for this: a connection needs dup to
// end well, and gnet closes another descriptor right after.
func (l *loop) dup(fd int) (int, error) {
	if l.spare < 0 {
		l.spare = spareDescriptor()
	}
	n, err := duplicate(fd)
	if errors.Is(err, unix.EMFILE) && l.spare >= 0 {
		unix.Close(l.spare)
		l.spare = -1
		n, err = duplicate(fd)
	}
	return n, err
}

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return n, os.NewSyscallError("dup", err)
}

// spareDescriptor opens a descriptor to keep in reserve; -1 if there is none.
func spareDescriptor() int {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

func (l *loop) close() {
	if l.spare >= 0 {
		unix.Close(l.spare)
		l.spare = -1
	}
}
