package succession

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	socketName = "take-over.sock"
	answerTime = 5 * time.Second
	mostGiven  = 64 // sockets; the kernel passes 253 at most
)

// Offer gives the sockets of s to a successor that asks for them in dir, the store's
// directory, which only the gateway's user may enter. Once that one accepts, taken is
// called, from any goroutine, and no other is given them: of two that accept, one would
// wait for the store while the other serves, and what providers write to it would be lost.
// Only who has the store may offer.
func (s *Sockets) Offer(dir string, taken func()) (stop func(), err error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if s.give(c) == nil {
				l.Close() // whoever waits to be accepted sees that
				taken()
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		l.Close() // removes the file
		answering.Wait()
	}), nil
}

// Offered reports whether the gateway that has the store in dir gives its sockets to whoever
// asks, as long as it serves. One that drains has given them, or will give them to nobody.
func Offered(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, socketName))
	return err == nil
}

// give passes the sockets, and returns when the other side accepts with them.
func (s *Sockets) give(c *net.UnixConn) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTime))
	var fds []int
	for _, l := range s.all {
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			return err
		}
		raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
	}
	if _, _, err := c.WriteMsgUnix([]byte{byte(len(fds))}, rightsOf(fds), nil); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// Predecessor is a process that has given its sockets and still accepts.
type Predecessor struct{ conn *net.UnixConn }

// TakeOver asks the gateway that has the store in dir for its sockets. Where there is
// none, or one that stops, the Predecessor is nil and the Sockets are empty.
func TakeOver(dir string) (*Sockets, *Predecessor, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return new(Sockets), nil, nil
	case err != nil:
		return nil, nil, err
	}
	conn.SetDeadline(time.Now().Add(answerTime))
	s, err := receive(conn)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // it had stopped offering before it saw us
		conn.Close()
		return new(Sockets), nil, nil
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("the gateway that runs does not give its sockets: %w", err)
	}
	return s, &Predecessor{conn}, nil
}

func receive(conn *net.UnixConn) (*Sockets, error) {
	rights := make([]byte, spaceFor(mostGiven))
	said, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err == nil && said == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	fds, err := descriptorsIn(rights[:n])
	if err != nil {
		return nil, err
	}
	s := new(Sockets)
	for _, fd := range fds {
		closeOnExec(fd)
		f := os.NewFile(uintptr(fd), "socket")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		s.given = append(s.given, l)
	}
	return s, nil
}

// Accepted tells the predecessor that it may stop accepting, and drain.
func (p *Predecessor) Accepted() error {
	defer p.conn.Close()
	_, err := p.conn.Write([]byte{1})
	return err
}
