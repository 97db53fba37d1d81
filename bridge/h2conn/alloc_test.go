package h2conn

import (
	"bufio"
	"encoding/binary"
	"net"
	"runtime"
	"testing"

	"golang.org/x/net/http2"
)

// TestMachineAllocs takes a request and its response through the machine, without a network:
// nothing is allocated.
func TestMachineAllocs(t *testing.T) {
	cfg := Config{Want: []string{"apns-id"}}.withDefaults()
	m := newMachine(&cfg)
	m.peer.greeted, m.peer.acknowledged = true, true
	m.openIfSettled()
	r := newFeeder(pushPrefix(t, "localhost"), 0).request()
	// Without Huffman: hpack decodes it in a buffer of a sync.Pool, which the race
	// detector keeps emptying.
	head := append([]byte{0x8c, 0x0f, 0x0d, 0x02}, "24"...) // 400, content-length
	head = appendString(appendString(append(head, 0), []byte("apns-id")), []byte("123e4567-e89b-12d3-a456-426614174000"))
	body := []byte(`{"reason":"BadTopic"}   `)
	more := []byte{0, 0, 0, 200}
	var empty []byte
	once := func() {
		if err := m.submit(r, 0); err != nil {
			t.Fatal(err)
		}
		id := r.stream
		empty = m.handOver(empty)
		for _, f := range [...]struct {
			fh http2.FrameHeader
			p  []byte
		}{
			{http2.FrameHeader{Type: http2.FrameHeaders, Flags: http2.FlagHeadersEndHeaders, StreamID: id}, head},
			{http2.FrameHeader{Type: http2.FrameData, Flags: http2.FlagDataEndStream, StreamID: id}, body},
			{http2.FrameHeader{Type: http2.FrameWindowUpdate}, more},
		} {
			if err := m.take(f.fh, f.p, 0); err != nil {
				t.Fatal(err)
			}
		}
		b := m.done
		m.done = batch{}
		if r.Fate != Answered || r.Response.Status != 400 || len(r.Response.Values[0]) != 36 {
			t.Fatalf("%v because %v", r.Fate, r.Err)
		}
		m.reuse(b)
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

// TestConnAllocs measures a whole connection over TCP, to a server that allocates nothing. What
// is left are a few allocations for each burst, and bursts are short on a busy machine.
func TestConnAllocs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nc, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		answerAll(nc)
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const warm, count = 5000, 50000
	f := newFeeder(pushPrefix(t, "localhost"), warm+count)
	var before, after runtime.MemStats
	cfg := f.config()
	seen, measured := 0, 0
	cfg.Complete = func(c *Conn, done []*Request) {
		if seen += len(done); before.Mallocs == 0 && seen >= warm {
			runtime.ReadMemStats(&before)
			measured = warm + count - seen
		}
		f.complete(c, done)
	}
	c := New(nc, cfg)
	f.wait(t)
	runtime.ReadMemStats(&after)
	c.Close()
	<-c.Done()
	<-ended
	if f.fates[Answered] != warm+count {
		t.Fatalf("fates %v", f.fates)
	}
	n := float64(after.Mallocs-before.Mallocs) / float64(measured)
	st := c.Stats()
	t.Logf("%.4f allocations, %.0f requests a write, %.0f a burst",
		n, (warm+count)/float64(st.Flushes), (warm+count)/float64(st.Bursts))
	if n > 0.3 {
		t.Errorf("%.3f allocations per request, want 0.3 at most", n)
	}
}

// answerAll answers every DATA frame that ends a stream with status 200, and
// opens the window again.
func answerAll(nc net.Conn) {
	r, w := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriterSize(nc, 64<<10)
	r.Discard(len(http2.ClientPreface))
	fr := http2.NewFramer(w, nil)
	fr.WriteSettings()
	fr.WriteSettingsAck()
	w.Flush()
	answer := appendFrame(nil, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 0)
	answer = append(answer, 0x88)
	window := 0
	for {
		h, err := r.Peek(frameHeader)
		if err != nil {
			return
		}
		length := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		if http2.FrameType(h[3]) == http2.FrameData {
			if window += length; window > 1<<14 {
				fr.WriteWindowUpdate(0, uint32(window))
				window = 0
			}
			if http2.Flags(h[4]).Has(http2.FlagDataEndStream) {
				binary.BigEndian.PutUint32(answer[5:], binary.BigEndian.Uint32(h[5:]))
				w.Write(answer)
			}
		}
		if r.Discard(frameHeader + length); r.Buffered() == 0 {
			w.Flush()
		}
	}
}
