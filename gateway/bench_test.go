package gateway_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

// counter is a session that only counts.
type counter struct {
	frames atomic.Int64
	want   atomic.Int64
	there  chan struct{}
}

func (c *counter) Push(*binproto.Notification) bool {
	if c.frames.Add(1) == c.want.Load() {
		c.there <- struct{}{}
	}
	return true
}
func (c *counter) Reject(*binproto.Notification, binproto.Status) bool { return true }
func (c *counter) ReadOn()                                             {}
func (c *counter) Shutdown(bool)                                       {}
func (c *counter) Close(error)                                         {}

// stream returns a function that sends size frames of 250 bytes over one
// connection and waits until a session has them.
func stream(tb testing.TB, version uint16, size int) (send func()) {
	session := &counter{there: make(chan struct{}, 1)}
	s := serve(tb, func(*gateway.Conn) (gateway.Session, binproto.Parser) {
		return session, binproto.DefaultParser()
	}, nil)
	c := dial(tb, s, version)
	go io.Copy(io.Discard, c)
	n := note(1)
	n.Payload = bytes.Repeat([]byte{'x'}, 250-45)
	var frames []byte
	for range size {
		frames = n.Append(frames)
	}
	return func() {
		session.want.Add(int64(size))
		write(tb, c, frames)
		<-session.there
	}
}

// TestFrameAllocations: between the socket and the session nothing is allocated for a frame.
// The few allocations left are for a read, and for the frame that it cuts.
func TestFrameAllocations(t *testing.T) {
	const frames = 5_000
	eachVersion(t, func(t *testing.T, version uint16) {
		send := stream(t, version, frames)
		send()
		if got := testing.AllocsPerRun(20, send) / frames; got > 0.05 {
			t.Errorf("%.3f allocations a frame, want none", got)
		}
	})
}

// BenchmarkFrames is what a frame of 250 bytes costs from a provider's tls.Conn, which it
// includes, to Session.Push.
func BenchmarkFrames(b *testing.B) {
	const frames = 1_000
	for _, version := range versions {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			send := stream(b, version, frames)
			b.ReportAllocs()
			b.SetBytes(250 * frames)
			for b.Loop() {
				send()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}

// BenchmarkConnections is what a connection costs from dial to end, with TLS 1.3 and an RSA
// key, including the provider's part.
func BenchmarkConnections(b *testing.B) {
	ss := newSessions(b)
	s := serve(b, ss.open, nil)
	frames := enhanced(nil, 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		c := dial(b, s, tls.VersionTLS13)
		write(b, c, frames)
		c.Close()
		r := ss.next()
		r.closeWhenOver()
		r.waitClosed()
	}
}
