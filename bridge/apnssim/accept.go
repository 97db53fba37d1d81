package apnssim

import (
	"crypto/tls"
	"net"
	"time"
)

// handshakeTimeout is how long a client may take for TLS, HTTP/2's preface and
// its first SETTINGS.
const handshakeTimeout = 10 * time.Second

// acceptPause is waited after a failed accept, for want of descriptors mostly.
const acceptPause = 20 * time.Millisecond

func (s *Simulator) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			if s.isClosed() {
				return
			}
			time.Sleep(acceptPause)
			continue
		}
		if c := s.admit(raw); c != nil {
			s.running.Go(c.serve)
		}
	}
}

func (s *Simulator) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// admit makes a connection of raw, or closes it and gives nil.
func (s *Simulator) admit(raw net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	outage := s.script.Load().Outage
	if s.closed || len(s.conns) >= s.connections || outage != nil && outage.Refuse {
		s.counts.turned.Add(1)
		reset(raw)
		s.record.touch()
		return nil
	}
	c := newConn(s, raw)
	s.conns[c] = struct{}{}
	return c
}

// serve is the life of a connection, on the goroutine that reads.
func (c *conn) serve() {
	defer c.leave()
	c.tls.SetDeadline(time.Now().Add(handshakeTimeout))
	err := c.tls.Handshake()
	if err != nil || c.tls.ConnectionState().NegotiatedProtocol != "h2" {
		if c.sim.counts.turned.Add(1); err == nil {
			c.tls.Read(make([]byte, bufferSize)) // what stays unread would reset the connection
			c.tls.Write([]byte(notHTTP2))
			c.tls.Close()
		}
		return
	}
	c.tls.SetWriteDeadline(time.Time{})
	c.begin()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err = c.read()
	c.quit(err)
	<-written
	c.drain()
}

// notHTTP2 is for those who look with a browser or an old library. APNs itself ends
// their handshakes.
const notHTTP2 = "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This is apnsbridge's APNs simulator. Like APNs it takes HTTP/2 only: POST /3/device/TOKEN.\n"

// begin counts the connection and sends the first SETTINGS.
func (c *conn) begin() {
	s := c.sim
	c.client = identify(c.tls.ConnectionState())
	s.mu.Lock()
	s.number++
	c.number = s.number
	c.perform(s.script.Load())
	s.mu.Unlock()
	s.counts.connections.Add(1)
	raise(&s.counts.peakConnections, s.counts.openConnections.Add(1))
	s.record.touch()
}

// leave forgets the connection.
func (c *conn) leave() {
	s := c.sim
	c.raw.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	if c.number > 0 {
		s.counts.streams.Add(-int64(len(c.streams)))
		s.counts.openConnections.Add(-1)
	}
	s.record.touch()
}

// reset closes a connection so that its peer gets a TCP reset.
func reset(raw net.Conn) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	raw.Close()
}

// wire is a client's connection under TLS. It reads ahead, and calls before
// whenever it has to ask the kernel, which may take until the client has heard
// from us.
type wire struct {
	net.Conn
	buf    []byte
	unread []byte
	before func()
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		w.before()
		n, err := w.Conn.Read(w.buf)
		if w.unread = w.buf[:n]; n == 0 {
			return 0, err
		}
	}
	n := copy(p, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

func (s *Simulator) server(raw net.Conn, before func()) *tls.Conn {
	return tls.Server(&wire{Conn: raw, buf: make([]byte, bufferSize), before: before}, s.tls)
}
