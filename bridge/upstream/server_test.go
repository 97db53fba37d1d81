package upstream

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// server speaks HTTP/2 with every client as a test tells it, frame by frame. APNs would not do
// most of that; something on the way may.
type server struct {
	conns atomic.Int32
	url   string
}

// serverConn is one connection of a server.
type serverConn struct {
	*http2.Framer
	number int // from 1 on
	seen   int // requests that are complete
}

// answer ends a stream with a status and no body.
func (c *serverConn) answer(stream uint32, status string) {
	var head bytes.Buffer
	hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: status})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndStream: true,
		EndHeaders: true})
}

func (c *serverConn) refuse(stream uint32, status, reason string) {
	var head bytes.Buffer
	hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: status})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true})
	c.WriteData(stream, true, []byte(`{"reason":"`+reason+`"}`))
}

func (c *serverConn) goAway(reason string) {
	c.WriteGoAway(0, http2.ErrCodeNo, []byte(`{"reason":"`+reason+`"}`))
}

// startServer starts a server that calls complete for each request when its last byte has come.
// complete reports whether the connection goes on. The server never sends a WINDOW_UPDATE.
func startServer(t *testing.T, settings []http2.Setting, complete func(c *serverConn, stream uint32) bool) *server {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate},
		NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "https://" + l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				s.serve(nc, settings, complete)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return s
}

func (s *server) serve(nc net.Conn, settings []http2.Setting, complete func(c *serverConn, stream uint32) bool) {
	if _, err := io.ReadFull(nc, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c := &serverConn{Framer: http2.NewFramer(nc, nc), number: int(s.conns.Add(1))}
	c.WriteSettings(settings...)
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				if c.seen++; !complete(c, f.StreamID) {
					return
				}
			}
		}
	}
}

func (s *server) endpoint() Endpoint { return Endpoint{URL: s.url, CA: pki().Pool()} }
