package h2conn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestGoServer(t *testing.T) {
	const count = 5000
	seen := make(chan string, count)
	address := serve(t, http.HTTP2Config{MaxConcurrentStreams: 100}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || r.URL.Path != samplePath || r.Host != "localhost" || r.Header.Get("Apns-Topic") != "com.example.mail" {
			t.Errorf("got %s %s of %s, %v, %v", r.Method, r.URL, r.Host, r.Header, err)
		}
		seen <- string(body)
		w.Header()["Apns-Id"] = r.Header["Apns-Id"]
		w.WriteHeader(200)
	})
	f := newFeeder(pushPrefix(t, "localhost"), count)
	dial(t, address, f.config())
	f.wait(t)
	if f.fates[Answered] != count || f.status[200] != count {
		t.Errorf("fates %v, status %v, errors %v; want %d answered with 200", f.fates, f.status, f.errors, count)
	}
	close(seen)
	want := string(f.request().Body)
	for body := range seen {
		if body != want {
			t.Fatalf("a body arrived as %q", body)
		}
	}
}

// counting is a server that counts what it has processed, and ends its connections as badly as
// HTTP/2 allows.
type counting struct {
	t      *testing.T
	ln     net.Listener
	random *rand.Rand
	mu     sync.Mutex
	got    map[string]int // by path
	wg     sync.WaitGroup
}

func (s *counting) serve() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		after := 1 + s.random.IntN(3000)
		warned, refuses := s.random.IntN(2) == 0, s.random.IntN(2) == 0
		s.mu.Unlock()
		s.wg.Go(func() {
			s.connection(nc, after, warned, refuses)
			nc.Close()
		})
	}
}

// connection processes the given number of requests, sends GOAWAY, and ignores streams above the
// last of them. With refuses it also refuses some requests.
func (s *counting) connection(nc net.Conn, after int, warned, refuses bool) {
	r, w := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriterSize(nc, 64<<10)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	fr := http2.NewFramer(w, r)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings()
	fr.WriteSettingsAck()
	w.Flush()
	paths := map[uint32]string{}
	last := uint32(0)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			paths[id] = f.PseudoValue("path")
		case *http2.DataFrame:
			if n := len(f.Data()); n > 0 {
				fr.WriteWindowUpdate(0, uint32(n))
			}
			if !f.StreamEnded() || after == 0 {
				break // above the last one: ignored
			}
			if refuses && id%7 == 0 {
				fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				break
			}
			s.mu.Lock()
			s.got[paths[id]]++
			s.mu.Unlock()
			delete(paths, id)
			last = max(last, id)
			if after--; after == 0 {
				if warned {
					fr.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
				}
				fr.WriteGoAway(last, http2.ErrCodeNo, nil)
			}
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true,
				EndStream: true})
		}
		if r.Buffered() == 0 {
			w.Flush()
		}
	}
}

// repeater submits requests, and submits again those that were not processed, until all are answered.
type repeater struct {
	t     *testing.T
	count int
	over  chan struct{} // closed when all are answered

	mu                 sync.Mutex
	todo               []*Request
	answered, repeated int
}

func newRepeater(t *testing.T, count int) *repeater {
	p := &repeater{t: t, count: count, over: make(chan struct{}), todo: make([]*Request, count)}
	for i := range p.todo {
		p.todo[i] = &Request{Prefix: wirePrefix, Path: fmt.Appendf(nil, "/%d", i), Body: []byte("{}")}
	}
	return p
}

// alone takes the lock for a callback. It must be free, because callbacks come one at a time.
func (p *repeater) alone() (leave func()) {
	if !p.mu.TryLock() {
		p.t.Error("two callbacks at once")
		p.mu.Lock()
	}
	return p.mu.Unlock
}

// submit submits what there is room for. The caller holds mu.
func (p *repeater) submit(c *Conn) {
	n, _ := c.Submit(p.todo)
	p.todo = p.todo[n:]
}

func (p *repeater) room(c *Conn) {
	defer p.alone()()
	p.submit(c)
}

func (p *repeater) complete(c *Conn, done []*Request) {
	defer p.alone()()
	for _, r := range done {
		switch r.Fate {
		case Answered:
			p.answered++
		case Unprocessed:
			var g *GoAway
			var reset http2.StreamError
			if !errors.As(r.Err, &g) && !errors.As(r.Err, &reset) {
				p.t.Errorf("%s is unprocessed because %v", r.Path, r.Err)
			}
			p.repeated++
			p.todo = append(p.todo, r)
		default:
			p.t.Errorf("%s: %v because %v", r.Path, r.Fate, r.Err)
		}
	}
	p.submit(c)
	if p.answered == p.count {
		close(p.over)
	}
}

// TestGoAwayInTheMiddle repeats what may safely be repeated, on one connection after
// another: each request is processed once, and none is lost.
func TestGoAwayInTheMiddle(t *testing.T) {
	count := 20000
	if *long {
		count = 1000000
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &counting{t: t, ln: ln, random: rand.New(rand.NewPCG(1, 2)), got: make(map[string]int, count)}
	s.wg.Go(s.serve)
	p := newRepeater(t, count)
	connections := 0
	deadline := time.After(testPatience)
	for run := true; run; connections++ {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := New(nc, Config{Room: p.room, Complete: p.complete})
		select {
		case <-c.Done():
		case <-p.over:
			run = false
		case <-deadline:
			t.Fatalf("answered %d of %d", p.answered, count)
		}
		c.Close()
		<-c.Done()
	}
	ln.Close()
	s.wg.Wait()
	if len(s.got) != count {
		t.Errorf("the server has processed %d of %d requests", len(s.got), count)
	}
	for path, n := range s.got {
		if n != 1 {
			t.Errorf("%s was processed %d times", path, n)
		}
	}
	if connections < 3 || p.repeated == 0 {
		t.Errorf("%d connections, %d requests repeated: the test proves nothing", connections, p.repeated)
	}
	t.Logf("%d connections, %d requests repeated", connections, p.repeated)
}

// TestUnrest has everything at once on one connection: answers in any order,
// time-outs, cancellations, resets by the handler, a limit that is reached.
func TestUnrest(t *testing.T) {
	address := serve(t, http.HTTP2Config{MaxConcurrentStreams: 50}, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Do") {
		case "hang":
			<-r.Context().Done()
		case "abort":
			panic(http.ErrAbortHandler)
		case "tell":
			w.WriteHeader(400)
			io.Copy(w, r.Body)
		}
	})
	count := 4000
	if *long {
		count = 200000
	}
	const hang, abort, tell, cancel = "hang", "abort", "tell", "cancel"
	prefix := pushPrefix(t, "localhost")
	var todo []*Request
	for i := range count {
		do := [...]string{"", abort, tell, cancel, "", tell, "", hang}[i%8]
		r := &Request{Prefix: prefix, Path: []byte("/"), Owner: do, Fields: []Field{{"do", []byte(do)}},
			Body: []byte("0123456789")[:i%10]}
		switch do {
		case hang:
			r.Timeout = 20 * time.Millisecond
		case cancel:
			r.Fields[0].Value = []byte(hang)
		}
		todo = append(todo, r)
	}
	var mu sync.Mutex
	ended := make(map[*Request]int, count)
	over := make(chan struct{})
	cfg := Config{
		Room: func(c *Conn) {
			mu.Lock()
			n, _ := c.Submit(todo)
			sent := todo[:n]
			todo = todo[n:]
			mu.Unlock()
			for _, r := range sent {
				if r.Owner == cancel {
					c.Cancel(r)
				}
			}
		},
		Complete: func(c *Conn, done []*Request) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range done {
				want := map[any]Fate{"": Answered, tell: Answered, abort: Unanswered, hang: TimedOut, cancel: Canceled}[r.Owner]
				if ended[r]++; r.Fate != want || ended[r] > 1 {
					t.Errorf("%q ended %d times, as %v because %v, want %v", r.Owner, ended[r], r.Fate, r.Err, want)
				}
				if r.Owner == tell && (r.Response == nil || r.Response.Status != 400 || string(r.Response.Body) != string(r.Body)) {
					t.Errorf("got %+v, want %q", r.Response, r.Body)
				}
			}
			if len(ended) == count {
				close(over)
			}
		},
	}
	c := dial(t, address, cfg)
	select {
	case <-over:
	case <-c.Done():
		_, reason := c.State()
		t.Fatalf("connection ended: %v", reason)
	case <-time.After(testPatience):
		t.Fatalf("%d of %d have ended: %+v", len(ended), count, c.Stats())
	}
	if st := c.Stats(); st.Open != 0 || st.Limit != 50 || st.Requests != uint64(count) {
		t.Errorf("got %+v", st)
	}
}
