package h2conn

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is a connection to a server that does what a test says, frame by frame,
// in a synctest bubble: want and ended wait until nothing moves any more.
type wire struct {
	t     *testing.T
	c     *Conn
	nc    net.Conn
	fr    *http2.Framer
	table *hpack.Decoder // the server's

	mu     sync.Mutex
	frames []string
	block  []byte
	ends   []string
	rooms  int
	states []State
	last   error
}

// onWire runs a test on a connection that has sent its greeting.
func onWire(t *testing.T, cfg Config, test func(w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		w := &wire{t: t, nc: server, fr: http2.NewFramer(server, server), table: hpack.NewDecoder(4096, nil)}
		w.fr.AllowIllegalWrites = true
		cfg.Want = []string{"apns-id"}
		cfg.Complete = func(_ *Conn, done []*Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, r := range done {
				w.ends = append(w.ends, ending(r))
				w.last = r.Err
			}
		}
		cfg.Room = func(*Conn) { w.mu.Lock(); w.rooms++; w.mu.Unlock() }
		cfg.Changed = func(_ *Conn, s State) { w.mu.Lock(); w.states = append(w.states, s); w.mu.Unlock() }
		w.c = New(client, cfg)
		go w.readAll()
		w.want("PREFACE", "SETTINGS 1=0 2=0 4=32768 6=16384", "WINDOW_UPDATE 0 983041")
		test(w)
		w.c.Close()
		<-w.c.Done()
		server.Close()
		synctest.Wait()
	})
}

// onOpenWire runs a test on a connection that has exchanged SETTINGS too.
func onOpenWire(t *testing.T, cfg Config, test func(w *wire)) {
	t.Helper()
	onWire(t, cfg, func(w *wire) {
		w.fr.WriteSettings()
		w.fr.WriteSettingsAck()
		w.want("SETTINGS ack")
		test(w)
	})
}

func ending(r *Request) string {
	s := string(r.Path) + " " + r.Fate.String()
	if p := r.Response; p != nil {
		s += fmt.Sprintf(" %d", p.Status)
		if id := p.Values[0]; len(id) > 0 {
			s += " id=" + string(id)
		}
		if len(p.Body) > 0 {
			s += " " + string(p.Body)
		}
	}
	return s
}

func (w *wire) readAll() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := w.nc.Read(preface); err != nil || string(preface) != http2.ClientPreface {
		w.note(fmt.Sprintf("preface %q, %v", preface, err))
		return
	}
	w.note("PREFACE")
	for {
		f, err := w.fr.ReadFrame()
		if err != nil {
			return
		}
		w.note(w.describe(f))
	}
}

func (w *wire) note(s string) {
	w.mu.Lock()
	w.frames = append(w.frames, s)
	w.mu.Unlock()
}

func (w *wire) describe(f http2.Frame) string {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		s := "SETTINGS"
		f.ForeachSetting(func(v http2.Setting) error { s += fmt.Sprintf(" %d=%d", v.ID, v.Val); return nil })
		return s
	case *http2.HeadersFrame:
		w.block = bytes.Clone(f.HeaderBlockFragment())
		return fmt.Sprintf("HEADERS %d%s", id, w.head(f.HeadersEnded())) + mark(f.StreamEnded())
	case *http2.ContinuationFrame:
		w.block = append(w.block, f.HeaderBlockFragment()...)
		return fmt.Sprintf("CONTINUATION %d%s", id, w.head(f.HeadersEnded()))
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d %d", id, len(f.Data())) + mark(f.StreamEnded())
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", id, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", id, f.Increment)
	case *http2.PingFrame:
		if f.IsAck() {
			return fmt.Sprintf("PING ack %s", f.Data[:])
		}
		return "PING"
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	}
	return f.Header().String()
}

func mark(end bool) string {
	if end {
		return " end"
	}
	return ""
}

// head decodes a complete block and shows its path.
func (w *wire) head(ended bool) string {
	if !ended {
		return " …"
	}
	fields, err := w.table.DecodeFull(w.block)
	if err != nil {
		return " " + err.Error()
	}
	for _, f := range fields {
		if f.Name == ":path" {
			return " " + f.Value
		}
	}
	return " no path"
}

// want waits until nothing moves and compares what the client has written since.
func (w *wire) want(frames ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.frames, frames) {
		w.t.Errorf("frames\ngot  %s\nwant %s", strings.Join(w.frames, " | "), strings.Join(frames, " | "))
	}
	w.frames = nil
}

// ended compares the requests that have ended since.
func (w *wire) ended(ends ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.ends, ends) {
		w.t.Errorf("ended\ngot  %s\nwant %s", strings.Join(w.ends, " | "), strings.Join(ends, " | "))
	}
	w.ends = nil
}

func (w *wire) room(want int) {
	w.t.Helper()
	synctest.Wait()
	if got, _ := w.c.Room(); got != want {
		w.t.Errorf("room: got %d, want %d", got, want)
	}
}

func (w *wire) state(want State, reason string) {
	w.t.Helper()
	synctest.Wait()
	got, err := w.c.State()
	if got != want || reason == "" && err != nil || reason != "" && (err == nil ||
		!strings.Contains(err.Error(), reason)) {
		w.t.Errorf("state: got %v because %v, want %v because %s", got, err, want, reason)
	}
}

var wirePrefix = func() *Prefix {
	p, err := NewPrefix("POST", "https", "example.com", Field{"apns-topic", []byte("t")})
	if err != nil {
		panic(err)
	}
	return p
}()

// submit sends one request for each path, each with a body of the given size.
func (w *wire) submit(body int, paths ...string) []*Request {
	w.t.Helper()
	var reqs []*Request
	for _, p := range paths {
		reqs = append(reqs, &Request{Prefix: wirePrefix, Path: []byte(p), Body: bytes.Repeat([]byte("b"), body)})
	}
	if n, err := w.c.Submit(reqs); n != len(reqs) {
		w.t.Fatalf("submitted %d of %d: %v", n, len(reqs), err)
	}
	return reqs
}

// answer sends a response without a body.
func (w *wire) answer(id uint32, fields ...string) {
	w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields...), EndHeaders: true,
		EndStream: true})
}

// headers sends a head that does not end the stream.
func (w *wire) headers(id uint32, fields ...string) {
	w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields...), EndHeaders: true})
}

// block encodes name=value pairs as a server does without a dynamic table.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	for _, f := range fields {
		at := 1 + strings.IndexByte(f[1:], '=')
		e.WriteField(hpack.HeaderField{Name: f[:at], Value: f[at+1:]})
	}
	return b.Bytes()
}

// New starts a connection on nc without Dial's TLS. nc belongs to it from here on.
func New(nc net.Conn, cfg Config) *Conn {
	cfg = cfg.withDefaults()
	t := newTrunk(nc, cfg.ReadBytes)
	return start(t, t, cfg)
}
