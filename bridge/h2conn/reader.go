package h2conn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
)

// read takes frames until the connection ends. What they complete is delivered
// when the trunk is about to wait for the network: a burst is what came at once.
func (c *Conn) read() {
	code, err := c.readFrames()
	c.end(code, err)
	c.mu.Lock()
	c.leave()
	c.mu.Unlock()
}

func (c *Conn) readFrames() (http2.ErrCode, error) {
	r := bufio.NewReaderSize(c.nc, c.cfg.ReadBytes)
	f := http2.NewFramer(nil, r)
	f.SetMaxReadFrameSize(maxReadFrame)
	for {
		fh, err := f.ReadFrameHeader()
		if err != nil {
			return readFailure(f, fh, err)
		}
		p, err := r.Peek(int(fh.Length))
		if err != nil {
			return readFailure(f, fh, err)
		}
		c.mu.Lock()
		if c.m.state == Closed {
			c.mu.Unlock()
			return http2.ErrCodeNo, nil
		}
		broken := c.m.take(fh, p, c.trunk.heard.Load())
		c.moved()
		c.mu.Unlock()
		if broken != nil {
			return broken.code, broken
		}
		r.Discard(len(p))
	}
}

// readFailure sorts what the network and http2.Framer say.
func readFailure(f *http2.Framer, fh http2.FrameHeader, err error) (http2.ErrCode, error) {
	var conn http2.ConnectionError
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge):
		return http2.ErrCodeFrameSize, breach(http2.ErrCodeFrameSize, "%v of %d bytes, of %d allowed: %v",
			fh.Type, fh.Length, maxReadFrame, err)
	case errors.As(err, &conn):
		return http2.ErrCode(conn), breach(http2.ErrCode(conn), "%v", f.ErrorDetail())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return http2.ErrCodeNo, errEOF
	}
	return http2.ErrCodeNo, fmt.Errorf("h2conn: connection lost: %w", err)
}
