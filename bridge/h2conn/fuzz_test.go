package h2conn

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// recital is a network connection that plays back what a server sent: a greeting, then, once
// requests are under way, the rest, and then the end.
type recital struct {
	greeting io.Reader
	rest     io.Reader
	ready    chan struct{}
	quit     chan struct{}
	once     sync.Once
	written  int
}

func (r *recital) Read(p []byte) (int, error) {
	if n, _ := r.greeting.Read(p); n > 0 {
		return n, nil
	}
	select {
	case <-r.ready:
	case <-r.quit:
	}
	return r.rest.Read(p)
}

func (r *recital) Write(p []byte) (int, error)      { r.written += len(p); return len(p), nil }
func (r *recital) Close() error                     { r.once.Do(func() { close(r.quit) }); return nil }
func (r *recital) SetWriteDeadline(time.Time) error { return nil }
func (r *recital) SetReadDeadline(time.Time) error  { return nil }
func (r *recital) SetDeadline(time.Time) error      { return nil }
func (r *recital) LocalAddr() net.Addr              { return nil }
func (r *recital) RemoteAddr() net.Addr             { return nil }

// FuzzServer plays a server that sends any bytes at all. Whatever they are, each request ends
// once, the connection ends, and nothing grows beyond its bound.
func FuzzServer(f *testing.F) {
	seed := func(write func(fr *http2.Framer)) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		write(fr)
		f.Add(b.Bytes())
	}
	seed(func(fr *http2.Framer) {
		for id := uint32(1); id < 11; id += 2 {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(":status=200", "apns-id=x"),
				EndHeaders: true, EndStream: true})
		}
	})
	seed(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=400")})
		fr.WriteContinuation(1, true, block("content-length=3", "content-type=application/json"))
		fr.WriteDataPadded(1, true, []byte("abc"), make([]byte, 7))
		fr.WriteRSTStream(3, http2.ErrCodeRefusedStream)
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3},
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}, http2.Setting{ID: http2.SettingHeaderTableSize,
				Val: 9})
		fr.WriteWindowUpdate(5, 100)
		fr.WriteWindowUpdate(0, 100)
		fr.WritePing(false, [8]byte{})
		fr.WriteGoAway(5, http2.ErrCodeNo, []byte("bye"))
	})
	seed(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1,
			BlockFragment: []byte{0x20, 0x48, 0x82, 0x64, 0x02, 0x0f, 0x2b, 0x03, 'a', 'b',
				'c'}, EndHeaders: true, PadLength: 3})
		fr.WritePriority(3, http2.PriorityParam{StreamDep: 5})
		fr.WriteRawFrame(0xfe, 0xff, 3, []byte("grease"))
		fr.WriteData(1, true, nil)
	})
	var greeting bytes.Buffer
	fr := http2.NewFramer(&greeting, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	fr.WriteSettingsAck()

	f.Fuzz(func(t *testing.T, data []byte) {
		nc := &recital{greeting: bytes.NewReader(greeting.Bytes()), rest: bytes.NewReader(data), ready: make(chan struct{}),
			quit: make(chan struct{})}
		ended := map[*Request]int{}
		var mu sync.Mutex
		sent := 0
		var once sync.Once
		c := New(nc, Config{Want: []string{"apns-id"}, Complete: func(_ *Conn, done []*Request) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range done {
				ended[r]++
				if (r.Fate == Answered) != (r.Err == nil) || r.Fate == Answered && (r.Response == nil || r.Response.Status < 200) {
					t.Errorf("%v with error %v and response %v", r.Fate, r.Err, r.Response)
				}
				if r.Response != nil && len(r.Response.Body) > 16<<10 {
					t.Errorf("body of %d bytes", len(r.Response.Body))
				}
			}
		}, Room: func(c *Conn) {
			once.Do(func() {
				var reqs []*Request
				for range 5 {
					reqs = append(reqs, &Request{Prefix: wirePrefix, Path: []byte("/"), Body: make([]byte, 150)})
				}
				n, err := c.Submit(reqs)
				mu.Lock()
				sent = n
				mu.Unlock()
				if n != 5 {
					t.Errorf("submitted %d: %v", n, err)
				}
				close(nc.ready)
			})
		}})
		select {
		case <-c.Done():
		case <-time.After(testPatience):
			t.Fatalf("the connection does not end: %+v", c.Stats())
		}
		if len(ended) != sent || sent != 5 {
			t.Errorf("%d of %d requests have ended", len(ended), sent)
		}
		for _, n := range ended {
			if n != 1 {
				t.Errorf("a request ended %d times", n)
			}
		}
		if bound := 64<<10 + 10*len(data) + 4096; nc.written > bound {
			t.Errorf("%d bytes were written for %d, want at most %d", nc.written, len(data), bound)
		}
		if state, reason := c.State(); state != Closed || reason == nil || len(reason.Error()) > 1<<13 {
			t.Errorf("state %v, reason %v", state, reason)
		}
	})
}
