package h2conn

import (
	"slices"
	"strconv"

	"golang.org/x/net/http2"
)

// partialHead is a header block that goes on in CONTINUATION frames.
type partialHead struct {
	fh    http2.FrameHeader // of the HEADERS frame
	block []byte
	cost  int // bytes and frames, so that empty frames do not come for free
}

func (m *machine) takeHeaders(fh http2.FrameHeader, p []byte) *violation {
	if _, err := m.stream(fh); err != nil {
		return err
	}
	block, ok := unpad(fh, p)
	if ok && fh.Flags.Has(http2.FlagHeadersPriority) {
		if ok = len(block) >= 5; ok {
			block = block[5:]
		}
	}
	if !ok {
		return breach(http2.ErrCodeProtocol, "HEADERS with more padding than payload")
	}
	if fh.Flags.Has(http2.FlagHeadersEndHeaders) {
		return m.takeHead(fh, block)
	}
	m.partial.fh = fh
	m.partial.block = m.partial.block[:0]
	m.partial.cost = 0
	return m.continueHead(block)
}

func (m *machine) takeContinuation(fh http2.FrameHeader, p []byte) *violation {
	if err := m.continueHead(p); err != nil {
		return err
	}
	if fh.Flags.Has(http2.FlagContinuationEndHeaders) {
		return m.takeHead(m.partial.fh, m.partial.block)
	}
	return nil
}

func (m *machine) continueHead(block []byte) *violation {
	m.partial.block = append(m.partial.block, block...)
	m.partial.cost += frameHeader + len(block)
	// Plain coding of the longest list we take, and as much again.
	if m.partial.cost > 2*m.cfg.ResponseHeaderBytes {
		return breach(http2.ErrCodeEnhanceYourCalm, "header block of more than %d bytes", len(m.partial.block))
	}
	return nil
}

// takeHead is given a whole header block: an interim response, the response, or
// trailers (RFC 9113, 8.1).
func (m *machine) takeHead(fh http2.FrameHeader, block []byte) *violation {
	s := m.find(fh.StreamID)
	if s == nil { // it has ended
		m.fields.reset(block)
		if m.fields.rest() != nil {
			return badBlock(fh)
		}
		return nil
	}
	end := fh.Flags.Has(http2.FlagHeadersEndStream)
	if s.resp == nil {
		s.resp = m.response()
	}
	problem, err := m.readFields(s, block)
	if err == nil {
		err = m.fields.rest() // behind a problem
	}
	if err != nil {
		return badBlock(fh)
	}
	status := s.resp.Status
	switch {
	case problem != "":
	case s.headed && !end:
		problem = "trailers that do not end the stream"
	case status < 200 && end:
		problem = "interim response that ends the stream"
	case status == 101:
		problem = "status 101"
	}
	if problem != "" {
		m.malformed(s, http2.ErrCodeProtocol, problem)
		return nil
	}
	if status < 200 {
		s.forget()
		return nil
	}
	s.headed = true
	if end {
		m.answered(s)
	}
	return nil
}

func badBlock(fh http2.FrameHeader) *violation {
	return breach(http2.ErrCodeCompression, "header block on stream %d cannot be decoded", fh.StreamID)
}

// forget drops an interim response: the final one brings its own fields.
func (s *slot) forget() {
	s.resp.Status = 0
	for i := range s.resp.Values {
		s.resp.Values[i] = s.resp.Values[i][:0]
	}
	s.promise = -1
	if s.req.call != nil {
		clear(s.req.call.header)
	}
}

// readFields reads head or trailers into the slot. A problem is the stream's; an
// error, the connection's.
func (m *machine) readFields(s *slot, block []byte) (problem string, err error) {
	f := &m.fields
	f.reset(block)
	size, regular, status := 0, false, 0
	for {
		more, err := f.next()
		if err != nil {
			return "", err
		}
		if !more {
			break
		}
		length, err := f.valueSize()
		if err != nil {
			return "", err
		}
		if size += len(f.name) + length + fieldOverhead; size > m.cfg.ResponseHeaderBytes {
			return "header list over the bound", nil
		}
		pseudo := len(f.name) > 0 && f.name[0] == ':'
		if !pseudo && !m.reads(s, f.name) {
			if regular = true; !lowerName(f.name) || !f.coded && !plain(f.value) {
				return notAllowed, nil
			}
			continue
		}
		text, err := f.decoded()
		if err != nil {
			return "", err
		}
		if pseudo {
			if s.headed || regular || status != 0 || string(f.name) != ":status" {
				return "misplaced pseudo header field", nil
			}
			if status = parseStatus(text); status == 0 {
				return "bad value of :status", nil
			}
			s.resp.Status = status
			continue
		}
		regular = true
		if problem := m.takeField(s, f.name, text); problem != "" {
			return problem, nil
		}
	}
	if !s.headed && status == 0 {
		return "no :status", nil
	}
	return "", nil
}

const notAllowed = "header field that HTTP does not allow"

// reads reports whether anybody wants to know the value of a field.
func (m *machine) reads(s *slot, name []byte) bool {
	return s.req.call != nil || string(name) == contentLength ||
		slices.ContainsFunc(m.cfg.Want, func(want string) bool { return string(name) == want })
}

const contentLength = "content-length"

func (m *machine) takeField(s *slot, name, value []byte) (problem string) {
	if !lowerName(name) || !plain(value) {
		return notAllowed
	}
	if s.req.call != nil {
		s.req.call.addField(name, value, s.headed)
	}
	if s.headed {
		return "" // trailers
	}
	for i, want := range m.cfg.Want {
		if string(name) == want {
			s.resp.Values[i] = append(s.resp.Values[i][:0], value...)
		}
	}
	if string(name) == contentLength {
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || s.promise >= 0 && s.promise != int64(n) {
			return "bad value of content-length"
		}
		s.promise = int64(n)
	}
	return ""
}

// answered ends a stream whose response is complete.
func (m *machine) answered(s *slot) {
	bodiless := s.req.Prefix.head || s.resp.Status == 304
	if s.promise >= 0 && s.promise != int64(len(s.resp.Body)) && !bodiless {
		m.malformed(s, http2.ErrCodeProtocol, "body of another length than content-length says")
		return
	}
	if s.sent < len(s.req.Body) {
		// The server did not wait for the whole body and does not want the rest.
		m.appendReset(s.id, http2.ErrCodeCancel)
	}
	m.finish(s, Answered, nil)
}

// parseStatus returns 0 for what is not a status.
func parseStatus(v []byte) int {
	if len(v) != 3 || v[0] < '1' || v[0] > '9' {
		return 0
	}
	status := 0
	for _, d := range v {
		if d < '0' || d > '9' {
			return 0
		}
		status = 10*status + int(d-'0')
	}
	return status
}

// lowerName is looser than what we send: a name of ours must be a token.
func lowerName(name []byte) bool {
	for _, b := range name {
		if b <= ' ' || b >= 'A' && b <= 'Z' || b >= 0x7f || b == ':' {
			return false
		}
	}
	return len(name) > 0
}
