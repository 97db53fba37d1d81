package h2conn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// world is a naive server beside a machine: maps instead of slots, every byte
// counted, and for every request what became of it in the server's eyes.
type world struct {
	t    *rapid.T
	m    *machine
	now  int64
	wire bytes.Buffer // handed over, not yet read by the server

	table   *hpack.Decoder
	block   []byte
	limit   int
	frame   int
	initial int64
	window  int64 // of the connection
	streams map[uint32]*seen

	unhanded []*Request         // submitted since the last hand-over
	expected map[*Request]Fate  // of what has ended
	reported map[*Request]int   // how often the machine said so
	deadline map[*Request]int64 // of what is under way
}

type seen struct {
	req    *Request
	window int64
	body   []byte
	closed bool // at the server, or by our RST_STREAM
	ended  bool // END_STREAM came
}

func newWorld(t *rapid.T, cfg *Config) *world {
	m := newMachine(cfg)
	w := &world{t: t, m: &m, table: hpack.NewDecoder(4096, nil), limit: math.MaxInt, frame: minMaxFrame,
		initial: defaultWindow, window: defaultWindow, streams: map[uint32]*seen{},
		expected: map[*Request]Fate{}, reported: map[*Request]int{}, deadline: map[*Request]int64{}}
	m.handOver(nil) // the greeting
	w.send(http2.FrameSettings, 0, 0, nil)
	w.send(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
	return w
}

func (w *world) send(t http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	if err := w.m.take(http2.FrameHeader{Type: t, Flags: flags, StreamID: id, Length: uint32(len(payload))}, payload, w.now); err != nil {
		w.t.Fatalf("%v on stream %d: %v", t, id, err)
	}
	w.collect()
}

// collect checks what the machine says against what must have happened.
func (w *world) collect() {
	for _, r := range w.m.done.requests {
		w.reported[r]++
		if want, ok := w.expected[r]; !ok || r.Fate != want || w.reported[r] > 1 {
			w.t.Fatalf("%s ended %d times, as %v (%v), want %v (%v)", r.Path, w.reported[r], r.Fate, r.Err, want, ok)
		}
	}
	w.m.reuse(w.m.done)
	w.m.done = batch{}
	if len(w.reported) != len(w.expected) {
		w.t.Fatalf("%d requests have ended, want %d", len(w.reported), len(w.expected))
	}
	if w.m.open != len(w.deadline) {
		w.t.Fatalf("%d streams open, want %d", w.m.open, len(w.deadline))
	}
}

func (w *world) ends(r *Request, fate Fate) {
	w.expected[r] = fate
	delete(w.deadline, r)
}

// handOver gives the server what was written, which it reads at once.
func (w *world) handOver() {
	for {
		b := w.m.handOver(nil)
		if len(b) == 0 {
			break
		}
		w.wire.Write(b)
	}
	w.unhanded = nil
	fr := http2.NewFramer(nil, &w.wire)
	fr.SetMaxReadFrameSize(uint32(w.frame))
	for {
		f, err := fr.ReadFrame()
		if err == io.EOF {
			return
		}
		if err != nil {
			w.t.Fatalf("server reads: %v (%v)", err, fr.ErrorDetail())
		}
		w.read(f)
	}
}

func (w *world) read(f http2.Frame) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.HeadersFrame:
		if s := w.streams[id]; s == nil || s.body != nil || s.ended {
			w.t.Fatalf("HEADERS on stream %d, which was not just opened", id)
		}
		w.streams[id].ended = f.StreamEnded()
		w.block = bytes.Clone(f.HeaderBlockFragment())
		w.head(f.HeadersEnded(), id)
	case *http2.ContinuationFrame:
		w.block = append(w.block, f.HeaderBlockFragment()...)
		w.head(f.HeadersEnded(), id)
	case *http2.DataFrame:
		s := w.streams[id]
		n := int64(len(f.Data()))
		s.window -= n
		w.window -= n
		if w.window < 0 || s.window < 0 {
			w.t.Fatalf("DATA of %d bytes on stream %d brings its window to %d and the connection's to %d",
				n, id, s.window, w.window)
		}
		if s.ended {
			w.t.Fatalf("DATA behind the end of stream %d", id)
		}
		s.body = append(s.body, f.Data()...)
		s.ended = f.StreamEnded()
		if !s.closed && (s.ended != (len(s.body) == len(s.req.Body)) || !bytes.HasPrefix(s.req.Body, s.body)) {
			w.t.Fatalf("stream %d: end %v at %d of %d bytes", id, s.ended, len(s.body), len(s.req.Body))
		}
	case *http2.RSTStreamFrame:
		w.streams[id].closed, w.streams[id].ended = true, true
	}
}

func (w *world) head(ended bool, id uint32) {
	if !ended {
		return
	}
	fields, err := w.table.DecodeFull(w.block)
	if err != nil {
		w.t.Fatalf("header block of stream %d: %v", id, err)
	}
	r := w.streams[id].req
	want := append([]hpack.HeaderField{}, r.Prefix.pseudo...)
	want = append(want, hpack.HeaderField{Name: ":path", Value: string(r.Path)})
	want = append(want, r.Prefix.regular...)
	for _, f := range r.Fields {
		want = append(want, hpack.HeaderField{Name: f.Name, Value: string(f.Value)})
	}
	if got := fmt.Sprint(fields); got != fmt.Sprint(want) {
		w.t.Fatalf("stream %d: header list\ngot  %v\nwant %v", id, got, want)
	}
}

// atServer draws a stream that the server has and has not closed.
func (w *world) atServer() (uint32, *seen) {
	var ids []uint32
	for id := uint32(1); id < w.m.next; id += 2 {
		if s := w.streams[id]; s != nil && !s.closed && w.handed(s.req) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		w.t.Skip("nothing has reached the server")
	}
	id := rapid.SampledFrom(ids).Draw(w.t, "stream")
	return id, w.streams[id]
}

func (w *world) handed(r *Request) bool {
	for _, u := range w.unhanded {
		if u == r {
			return false
		}
	}
	return true
}

// whole reports whether the server has all of a request, or what is not handed over yet has
// the rest.
func (w *world) whole(r *Request) bool {
	if w.streams[r.stream].ended {
		return true
	}
	fr := http2.NewFramer(nil, bytes.NewReader(w.m.out))
	fr.SetMaxReadFrameSize(maxMaxFrame)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return false
		}
		if h := f.Header(); h.StreamID == r.stream && (h.Type == http2.FrameHeaders || h.Type == http2.FrameData) &&
			h.Flags.Has(http2.FlagDataEndStream) {
			return true
		}
	}
}

// close ends a stream in the server's eyes.
func (w *world) close(s *seen, fate Fate) {
	s.closed = true
	if _, under := w.deadline[s.req]; under {
		w.ends(s.req, fate)
	}
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func setting(id http2.SettingID, v uint32) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(id)), u32(v)...)
}

// history is a world, and what else its random history needs.
type history struct {
	*world
	config   *Config
	prefixes []*Prefix
	goAway   uint32 // the last stream that a GOAWAY has named
	serial   int    // of the latest request
}

// submit submits a request, and checks that it is taken if there is room.
func (w *history) submit(t *rapid.T) {
	w.serial++
	prefix := rapid.OneOf(rapid.SampledFrom(w.prefixes[:3]), rapid.SampledFrom(w.prefixes)).Draw(t, "prefix")
	body := rapid.SampledFrom([]int{0, 1, 200, 20000, 70000}).Draw(t, "body")
	r := &Request{
		Prefix: prefix, Path: fmt.Appendf(nil, "/%d", w.serial), Body: bytes.Repeat([]byte{byte(w.serial)}, body),
		Timeout: time.Duration(rapid.IntRange(1, 1000).Draw(t, "timeout")),
	}
	if rapid.Bool().Draw(t, "fields") {
		size := rapid.SampledFrom([]int{0, 300, 40000}).Draw(t, "field")
		r.Fields = []Field{{"apns-id", []byte("id")}, {"x", bytes.Repeat([]byte("y"), size)}}
	}
	room := w.m.room()
	if limit := min(w.limit, w.config.MaxStreams); room > 0 && room != limit-w.m.open {
		t.Fatalf("room %d with %d of %d streams open", room, w.m.open, limit)
	}
	err := w.m.submit(r, w.now)
	switch {
	case w.goAway != math.MaxInt32 || w.m.state == Draining:
		if err != ErrDraining {
			t.Fatalf("got %v, want ErrDraining", err)
		}
	case room == 0:
		if err != ErrNoRoom {
			t.Fatalf("got %v, want ErrNoRoom", err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		w.streams[r.stream] = &seen{req: r, window: w.initial}
		w.unhanded = append(w.unhanded, r)
		w.deadline[r] = w.now + int64(r.Timeout)
	}
	w.collect()
}

// requests returns the actions of the connection's user.
func (w *history) requests() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"submit":    w.submit,
		"hand over": func(*rapid.T) { w.handOver() },
		"cancel": func(t *rapid.T) {
			for _, s := range w.m.at {
				if s.id != 0 {
					w.ends(s.req, Canceled)
					w.m.cancel(w.m.find(s.id), Canceled, errCanceled)
					break
				}
			}
			w.collect()
		},
	}
}

// answers returns the actions with which the server ends streams.
func (w *history) answers() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"answer": func(t *rapid.T) {
			id, s := w.atServer()
			if rapid.Bool().Draw(t, "body") {
				w.send(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, block(":status=400"))
				w.close(s, Answered)
				w.send(http2.FrameData, http2.FlagDataEndStream, id, []byte("no"))
			} else {
				w.close(s, Answered)
				w.send(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id, block(":status=200"))
			}
		},
		"refuse": func(*rapid.T) {
			id, s := w.atServer()
			w.close(s, Unprocessed)
			w.send(http2.FrameRSTStream, 0, id, u32(uint32(http2.ErrCodeRefusedStream)))
		},
		"reset": func(*rapid.T) {
			id, s := w.atServer()
			if s.ended {
				w.close(s, Unanswered)
			} else {
				w.close(s, Unprocessed)
			}
			w.send(http2.FrameRSTStream, 0, id, u32(uint32(http2.ErrCodeInternal)))
		},
		"goaway": func(t *rapid.T) {
			last := uint32(math.MaxInt32)
			if rapid.IntRange(0, 3).Draw(t, "real") == 0 {
				last = rapid.Uint32Range(0, w.m.next+5).Draw(t, "last")
			}
			w.goAway = min(w.goAway, last)
			for id, s := range w.streams {
				if id > last {
					w.close(s, Unprocessed)
				}
			}
			w.send(http2.FrameGoAway, 0, 0, append(u32(last), u32(0)...))
		},
	}
}

// settings returns the actions with which the server changes settings and opens windows.
func (w *history) settings() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"limit": func(t *rapid.T) {
			w.limit = rapid.SampledFrom([]int{0, 1, 5, 1000}).Draw(t, "limit")
			w.send(http2.FrameSettings, 0, 0, setting(http2.SettingMaxConcurrentStreams, uint32(w.limit)))
		},
		"windows": func(t *rapid.T) {
			v := int64(rapid.SampledFrom([]int{0, 1, 100, 65535, 200000}).Draw(t, "initial"))
			w.handOver() // what is on its way was written under the old one
			for _, s := range w.streams {
				s.window += v - w.initial
			}
			w.initial = v
			w.send(http2.FrameSettings, 0, 0, setting(http2.SettingInitialWindowSize, uint32(v)))
		},
		"table": func(t *rapid.T) {
			w.handOver()
			v := rapid.SampledFrom([]uint32{0, 50, 300, 4096, 65536}).Draw(t, "size")
			w.send(http2.FrameSettings, 0, 0, setting(http2.SettingHeaderTableSize, v))
			w.table.SetAllowedMaxDynamicTableSize(v)
		},
		"frame size": func(t *rapid.T) {
			w.handOver()
			w.frame = rapid.SampledFrom([]int{minMaxFrame, 20000, 1 << 20}).Draw(t, "size")
			w.send(http2.FrameSettings, 0, 0, setting(http2.SettingMaxFrameSize, uint32(w.frame)))
		},
		"more for the connection": func(t *rapid.T) {
			n := rapid.SampledFrom([]uint32{1, 1000, 100000}).Draw(t, "bytes")
			w.window += int64(n)
			w.send(http2.FrameWindowUpdate, 0, 0, u32(n))
		},
		"more for a stream": func(t *rapid.T) {
			id, s := w.atServer()
			n := rapid.SampledFrom([]uint32{1, 1000, 100000}).Draw(t, "bytes")
			s.window += int64(n)
			w.send(http2.FrameWindowUpdate, 0, id, u32(n))
		},
	}
}

// pass lets time pass, and checks that requests end at their deadlines.
func (w *history) pass(t *rapid.T) {
	w.now += int64(rapid.IntRange(1, 50).Draw(t, "passes"))
	for r, d := range w.deadline {
		if d > w.now {
			continue
		}
		if w.whole(r) || w.m.find(r.stream).resp != nil {
			w.ends(r, TimedOut)
		} else {
			w.ends(r, Unprocessed)
		}
	}
	w.m.expire(w.now)
	for _, d := range w.deadline {
		if d < w.m.earliest {
			t.Fatalf("earliest deadline is %d, want %d at most", w.m.earliest, d)
		}
	}
	if w.m.earliest <= w.now {
		t.Fatalf("earliest deadline is %d at %d", w.m.earliest, w.now)
	}
	w.collect()
}

// finish opens all windows, so that every body arrives, and then loses the connection.
func (w *history) finish(t *rapid.T) {
	w.handOver()
	w.window += 1 << 28
	w.send(http2.FrameWindowUpdate, 0, 0, u32(1<<28))
	for _, s := range w.streams {
		s.window += 1<<24 - w.initial
	}
	w.send(http2.FrameSettings, 0, 0, setting(http2.SettingInitialWindowSize, 1<<24))
	if rapid.Bool().Draw(t, "all arrives") {
		w.handOver()
		for id, s := range w.streams {
			if !s.closed && (!s.ended || !bytes.Equal(s.body, s.req.Body)) {
				t.Fatalf("stream %d: %d of %d bytes have come", id, len(s.body), len(s.req.Body))
			}
		}
	}
	for r := range w.deadline {
		if w.streams[r.stream].ended || w.m.find(r.stream).resp != nil {
			w.ends(r, Unanswered)
		} else {
			w.ends(r, Unprocessed)
		}
	}
	if !w.m.end(http2.ErrCodeNo, errEOF) || w.m.end(http2.ErrCodeNo, errEOF) {
		t.Fatal("a connection must end once, and only once")
	}
	w.collect()
}

// manyPrefixes returns more prefixes than the cache and the table can hold.
func manyPrefixes(t *testing.T) []*Prefix {
	t.Helper()
	prefixes := make([]*Prefix, 40)
	for i := range prefixes {
		p, err := NewPrefix("POST", "https", "example.com",
			Field{"authorization", bytes.Repeat([]byte{byte('0' + i)}, 10*i)}, Field{"apns-topic",
				fmt.Appendf(nil, "topic-%d", i%7)})
		if err != nil {
			t.Fatal(err)
		}
		prefixes[i] = p
	}
	return prefixes
}

// TestHistories lets rapid play server, network and clock.
func TestHistories(t *testing.T) {
	prefixes := manyPrefixes(t)
	rapid.Check(t, func(t *rapid.T) {
		config := Config{
			MaxStreams: rapid.IntRange(1, 20).Draw(t, "MaxStreams"),
			WriteBytes: rapid.SampledFrom([]int{100, 1000, 1 << 20}).Draw(t, "WriteBytes"),
		}.withDefaults()
		w := &history{world: newWorld(t, &config), config: &config, prefixes: prefixes, goAway: math.MaxInt32}
		actions := map[string]func(*rapid.T){"time": w.pass}
		maps.Copy(actions, w.requests())
		maps.Copy(actions, w.answers())
		maps.Copy(actions, w.settings())
		t.Repeat(actions)
		w.finish(t)
	})
}
