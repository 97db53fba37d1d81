package apnssim

import (
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"
)

// read takes frames until the connection ends, and says why. An error of type
// http2.ConnectionError is one that the client is told.
func (c *conn) read() error {
	c.tls.SetReadDeadline(time.Now().Add(handshakeTimeout))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.tls, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	for greeted := false; ; greeted = true {
		f, err := c.framer.ReadFrame()
		if err != nil && !concernsStream(err) {
			if errors.Is(err, http2.ErrFrameTooLarge) {
				return http2.ConnectionError(http2.ErrCodeFrameSize)
			}
			return err
		}
		if !greeted {
			if s, ok := f.(*http2.SettingsFrame); !ok || s.IsAck() {
				return http2.ConnectionError(http2.ErrCodeProtocol)
			}
		}
		if err := c.take(f, err, greeted); err != nil {
			return err
		}
	}
}

func concernsStream(err error) bool {
	_, ok := err.(http2.StreamError)
	return ok
}

// take handles a frame, or an error that concerns one stream only.
func (c *conn) take(f http2.Frame, err error, greeted bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out.bytes) > maxOut && !c.gone && !c.finish {
		c.rouseLocked()
		c.room.Wait()
	}
	if c.finish {
		return nil // we have said goodbye, and wait for the client to go
	}
	if !greeted {
		c.raw.SetReadDeadline(time.Time{})
	}
	if err == nil {
		err = c.handle(f)
	}
	if se, ok := err.(http2.StreamError); ok {
		c.abort(se.StreamID, se.Code)
		return nil
	}
	if err == nil && (len(c.settings) > maxSettings || len(c.due.events) > c.limit+maxDue) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return err
}

func (c *conn) handle(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		c.block.begin(f.StreamID, f.StreamEnded())
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.data(f)
	case *http2.SettingsFrame:
		return c.configure(f)
	case *http2.WindowUpdateFrame:
		return c.widen(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		if c.isIdle(f.StreamID) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if s := c.streams[f.StreamID]; s != nil {
			c.remove(s)
		}
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // PRIORITY, GOAWAY and unknown frames ask nothing of a server
}

// isIdle reports whether the client has not yet opened the stream.
func (c *conn) isIdle(id uint32) bool { return id%2 == 0 || id > c.maxID }

// fragment takes a piece of a header block.
func (c *conn) fragment(piece []byte, ended bool) error {
	b := &c.block
	if b.size += len(piece); b.size > maxBlock {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if _, err := c.fields.Write(piece); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if !ended {
		return nil
	}
	if c.fields.Close() != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return c.headers()
}

// headers takes a complete header block: a new request, or trailers.
func (c *conn) headers() error {
	id := c.block.stream
	if s := c.streams[id]; s != nil {
		if s.ended {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
		}
		if !c.block.end {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
		}
		return c.complete(s, s.body)
	}
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if id <= c.maxID {
		return c.closed(id)
	}
	c.maxID = id
	c.past.opened(id)
	if c.ignores(id) {
		return nil
	}
	if len(c.streams) >= c.limit {
		c.sim.counts.refused.Add(1)
		if len(c.streams) >= c.allowed() {
			c.sim.counts.overLimit.Add(1)
		}
		c.sim.record.touch()
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	if !c.block.complete() {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	s := c.open(id)
	if c.block.end {
		return c.complete(s, nil)
	}
	return nil
}

// closed judges headers for a stream that is not open any more, or never was.
func (c *conn) closed(id uint32) error {
	switch opened, aborted := c.past.find(id); {
	case aborted || c.ignores(id):
		return nil // trailers that were under way
	case opened:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return http2.ConnectionError(http2.ErrCodeProtocol)
}

// ignores reports whether the client was told with GOAWAY that the stream is not
// looked at.
func (c *conn) ignores(id uint32) bool { return c.leaving && id > c.last }

// data takes a piece of a body.
func (c *conn) data(f *http2.DataFrame) error {
	if c.isIdle(f.StreamID) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	size := int(f.Length) // padding counts
	if c.left -= size; c.left < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.credit(size)
	s := c.streams[f.StreamID]
	if s == nil {
		if _, aborted := c.past.find(f.StreamID); aborted || c.ignores(f.StreamID) {
			return nil // sent before the client knew
		}
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	if s.ended {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeStreamClosed}
	}
	if s.left -= size; s.left < 0 {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
	}
	body := f.Data()
	if s.size += len(body); !f.StreamEnded() || s.size > len(body) {
		s.keep(body)
		body = s.body
	}
	if f.StreamEnded() {
		return c.complete(s, body)
	}
	c.refill(s, size)
	return nil
}

// configure takes the client's SETTINGS.
func (c *conn) configure(f *http2.SettingsFrame) error {
	if f.IsAck() {
		c.acknowledged()
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			change := int(s.Val) - c.sendOpening
			c.sendOpening = int(s.Val)
			for _, s := range c.streams {
				if s.sendLeft += change; s.sendLeft > maxWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
		case http2.SettingMaxFrameSize:
			c.sendFrame = int(s.Val)
		case http2.SettingHeaderTableSize:
			c.tableChanged = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.framer.WriteSettingsAck()
	c.unblock()
	return nil
}

// widen takes a WINDOW_UPDATE.
func (c *conn) widen(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.sendLeft += int(f.Increment); c.sendLeft > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	} else if c.isIdle(f.StreamID) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	} else if s := c.streams[f.StreamID]; s != nil {
		if s.sendLeft += int(f.Increment); s.sendLeft > maxWindow {
			return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
		}
	}
	c.unblock()
	return nil
}

// quit ends the connection from the reader's side: a client that broke the
// protocol is told so, another one has gone.
func (c *conn) quit(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var violation http2.ConnectionError
	if errors.As(err, &violation) {
		c.sim.counts.violations.Add(1)
		c.framer.WriteGoAway(c.maxID, http2.ErrCode(violation), nil)
		c.finish = true
	} else {
		c.gone = true
	}
	c.room.Broadcast()
	c.touch()
	c.rouseLocked()
}
