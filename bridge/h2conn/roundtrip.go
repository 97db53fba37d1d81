package h2conn

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// call is a RoundTrip under way.
type call struct {
	Request
	done    chan struct{}
	header  http.Header
	trailer http.Header
	status  int
	body    []byte
}

// RoundTripper returns the connection as an http.RoundTripper, for clients that
// were written against one. Whole bodies are kept in memory, bounded like all
// others. It waits for room, as long as the request's context lets it.
func (c *Conn) RoundTripper() http.RoundTripper { return (*roundTripper)(c) }

type roundTripper Conn

// maxRequestBody is what a RoundTrip reads of a body, in bytes.
const maxRequestBody = 16 << 20

func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	c := (*Conn)(t)
	prefix, err := c.prefixOf(req)
	if err != nil {
		return nil, err
	}
	k := &call{done: make(chan struct{}), header: make(http.Header)}
	k.Prefix, k.Path, k.Body = prefix, []byte(req.URL.RequestURI()), body
	k.Fields = requestFields(req, len(body))
	k.Request.call = k
	if err := c.submitOrWait(k); err != nil {
		c.deliver()
		return nil, err
	}
	select {
	case <-k.done:
	case <-req.Context().Done():
		c.giveUp(k)
		<-k.done
	}
	if k.Fate == Canceled && req.Context().Err() != nil {
		return nil, context.Cause(req.Context())
	}
	if k.Fate != Answered {
		return nil, k.Err
	}
	return k.response(req), nil
}

func (t *roundTripper) CloseIdleConnections() { (*Conn)(t).closeIfIdle() }

// closeIfIdle is for http.Client.CloseIdleConnections.
func (c *Conn) closeIfIdle() {
	c.mu.Lock()
	idle := c.m.open == 0 && len(c.waiting) == 0
	c.mu.Unlock()
	if idle {
		c.Drain()
	}
}

// submitOrWait sends a call, or lines it up.
func (c *Conn) submitOrWait(k *call) error {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := ErrNoRoom
	if len(c.waiting) == 0 {
		err = c.m.submit(&k.Request, now)
	}
	if err == ErrNoRoom {
		if len(c.waiting) >= c.cfg.WaitingRoundTrips {
			return err
		}
		c.waiting = append(c.waiting, k)
		err = nil
	}
	c.moved()
	return err
}

// admitWaiting sends what waits, now that there may be room, or tells it that
// there will be none. It is called with the lock.
func (c *Conn) admitWaiting() {
	n := 0
	for _, k := range c.waiting {
		err := c.m.submit(&k.Request, c.now())
		if err == ErrNoRoom {
			break
		}
		if err != nil {
			k.Fate, k.Err = Unprocessed, err
			close(k.done)
		}
		n++
	}
	if n > 0 {
		c.waiting = slices.Delete(c.waiting, 0, n)
		c.moved()
	}
}

// giveUp cancels a call wherever it is.
func (c *Conn) giveUp(k *call) {
	c.mu.Lock()
	if i := slices.Index(c.waiting, k); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
		k.Fate, k.Err = Canceled, errCanceled
		close(k.done)
	}
	c.mu.Unlock()
	c.Cancel(&k.Request)
}

// finish keeps what is borrowed and wakes the caller.
func (k *call) finish() {
	if k.Response != nil {
		k.status = k.Response.Status
		k.body = bytes.Clone(k.Response.Body)
	}
	close(k.done)
}

// addField is called with the connection's lock for every field received.
func (k *call) addField(name, value []byte, trailer bool) {
	h := k.header
	if trailer {
		if k.trailer == nil {
			k.trailer = make(http.Header)
		}
		h = k.trailer
	}
	h.Add(string(name), string(value))
}

func (k *call) response(req *http.Request) *http.Response {
	resp := &http.Response{
		StatusCode: k.status,
		Status:     strconv.Itoa(k.status) + " " + http.StatusText(k.status),
		Proto:      "HTTP/2.0", ProtoMajor: 2,
		Header:        k.header,
		Trailer:       k.trailer,
		Body:          io.NopCloser(bytes.NewReader(k.body)),
		ContentLength: int64(len(k.body)),
		Request:       req,
	}
	if n, err := strconv.ParseInt(k.header.Get("Content-Length"), 10, 64); err == nil {
		resp.ContentLength = n
	}
	return resp
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	if n := req.ContentLength; n > 0 && n <= maxRequestBody {
		b := make([]byte, n)
		if _, err := io.ReadFull(req.Body, b); err != nil {
			return nil, fmt.Errorf("h2conn: request body of %d bytes: %w", n, err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(req.Body, maxRequestBody+1))
	if err != nil {
		return nil, fmt.Errorf("h2conn: request body: %w", err)
	}
	if len(b) > maxRequestBody {
		return nil, &RequestError{fmt.Sprintf("its body has more than %d bytes", maxRequestBody)}
	}
	return b, nil
}

// commonPrefix is the last prefix of a RoundTrip: most have the same.
type commonPrefix struct {
	method, scheme, host string
	prefix               *Prefix
}

func (c *Conn) prefixOf(req *http.Request) (*Prefix, error) {
	want := commonPrefix{
		method: cmp.Or(req.Method, http.MethodGet), scheme: req.URL.Scheme, host: cmp.Or(req.Host, req.URL.Host),
	}
	c.mu.Lock()
	last := c.common
	c.mu.Unlock()
	if last != nil && last.method == want.method && last.scheme == want.scheme && last.host == want.host {
		return last.prefix, nil
	}
	var err error
	if want.prefix, err = NewPrefix(want.method, want.scheme, want.host); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.common = &want
	c.mu.Unlock()
	return want.prefix, nil
}

// requestFields leaves out what has no place in HTTP/2 (RFC 9113, 8.2.2).
func requestFields(req *http.Request, length int) []Field {
	fields := make([]Field, 0, len(req.Header)+1)
	for name, values := range req.Header {
		name = strings.ToLower(name)
		switch name {
		case "connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length":
			continue
		}
		for _, v := range values {
			if name == "te" && v != "trailers" {
				continue
			}
			fields = append(fields, Field{name, []byte(v)})
		}
	}
	if length > 0 {
		fields = append(fields, Field{"content-length", strconv.AppendInt(nil, int64(length), 10)})
	}
	return fields
}
