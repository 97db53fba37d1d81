package apnssim

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// burst is a prepared piece of what a client sends: many pushes in one write.
type burst struct {
	client *rawClient
	bytes  bytes.Buffer
	next   uint32
}

// prepare fills the burst with pushes of size bytes, whose headers are indexed
// as far as a good client would.
func (b *burst) prepare(pushes, size int) {
	b.bytes.Reset()
	framer := http2.NewFramer(&b.bytes, nil)
	payload := make([]byte, size)
	c := b.client
	for range pushes {
		c.block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: "api.push.apple.com"},
			{Name: ":path", Value: "/3/device/" + device(""), Sensitive: true},
			{Name: "authorization", Value: c.bearer},
			{Name: "apns-topic", Value: topic},
			{Name: "apns-push-type", Value: "alert"},
			{Name: "apns-priority", Value: "10"},
			{Name: "apns-id", Value: "01234567-89ab-cdef-0123-456789abcdef", Sensitive: true},
		} {
			c.check(c.encoder.WriteField(f))
		}
		c.check(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: b.next, BlockFragment: c.block.Bytes(),
			EndHeaders: true}))
		c.check(framer.WriteData(b.next, true, payload))
		b.next += 2
	}
}

// exchange sends the burst and reads until every push has its answer, without
// allocating.
func (b *burst) exchange(pushes int, frames *frameCounter) {
	b.client.must(b.client.conn.Write(b.bytes.Bytes()))
	frames.await(b.client.conn, pushes)
}

// frameCounter counts the HEADERS frames that a server sends. It looks at nothing but the headers
// of frames.
type frameCounter struct {
	buf    [64 << 10]byte
	unread []byte
	skip   int
	t      testing.TB
}

func (f *frameCounter) await(conn net.Conn, answers int) {
	for answers > 0 {
		if skipped := min(f.skip, len(f.unread)); skipped > 0 {
			f.unread = f.unread[skipped:]
			f.skip -= skipped
		}
		if len(f.unread) < 9 {
			kept := copy(f.buf[:], f.unread)
			n, err := conn.Read(f.buf[kept:])
			if err != nil {
				f.t.Fatal(err)
			}
			f.unread = f.buf[:kept+n]
			continue
		}
		head := f.unread[:9]
		f.skip = 9 + (int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
		if http2.FrameType(head[3]) == http2.FrameHeaders {
			answers--
		}
	}
}

// Large windows, so that a burst fits.
var wide = Windows{Stream: 1 << 20, Connection: 1 << 30}

// BenchmarkPush measures the simulator with a client that only writes prepared bytes,
// on one connection, in bursts of 250 pushes of 200 bytes.
func BenchmarkPush(b *testing.B) {
	for _, test := range []struct {
		name string
		keep int
	}{{"kept", 0}, {"counted", -1}} {
		b.Run(test.name, func(b *testing.B) {
			sim := start(b, Scenario{Windows: wide}, func(c *Config) { c.Keep = test.keep })
			const pushes = 250
			bt := &burst{client: dial(b, sim), next: 1}
			frames := &frameCounter{t: b}
			bt.client.ping()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%pushes == 0 {
					b.StopTimer()
					bt.prepare(pushes, 200)
					b.StartTimer()
					bt.exchange(pushes, frames)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
		})
	}
}

// A push costs four allocations: the framer's HEADERS frame, and the path, the
// name of a header that is in no table, and its value.
func TestPushAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own account")
	}
	sim := start(t, Scenario{Windows: wide}, func(c *Config) { c.Keep = -1 })
	const pushes, rounds = 250, 20
	bt := &burst{client: dial(t, sim), next: 1}
	frames := &frameCounter{t: t}
	bt.client.ping()
	var before, after runtime.MemStats
	var total uint64
	for range rounds {
		bt.prepare(pushes, 200)
		runtime.ReadMemStats(&before)
		bt.exchange(pushes, frames)
		runtime.ReadMemStats(&after)
		total += after.Mallocs - before.Mallocs
	}
	if got := float64(total) / (pushes * rounds); got > 4.5 {
		t.Errorf("got %.2f allocations a push, want at most 4.5", got)
	} else {
		t.Logf("%.2f allocations a push", got)
	}
}
