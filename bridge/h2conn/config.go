package h2conn

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// Config says whom to tell, and how much is too much. The callbacks run one
// after the other, on whatever goroutine has news, also the caller's of Cancel,
// Drain and Close. They may call every method, and must not block: while one runs
// nothing is read.
type Config struct {
	// Complete is handed the requests that have ended, many at a time, each
	// exactly once. The slice and every Response in it are borrowed until it returns;
	// the requests are the caller's again.
	Complete func(c *Conn, done []*Request)

	// Room, if set, is called when Submit may go on: after it answered ErrNoRoom
	// or Conn.Room said that it would, and once when the connection opens.
	Room func(c *Conn)

	// Changed, if set, is called when the connection is in a new State. One that
	// was soon left may be skipped.
	Changed func(c *Conn, s State)

	// Want names the response header fields to keep, in lower case. Their values
	// are in Response.Values at the same places.
	Want []string

	// TLS and DialContext are for Dial. TLS needs no NextProtos; DialContext
	// defaults to a plain dial.
	TLS         *tls.Config
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	MaxStreams          int // open at once, whatever the server allows; default 1,000
	WriteBytes          int // waiting to be written; default 256 KiB
	ReadBytes           int // of each read buffer, at least 32 KiB; default 64 KiB
	ControlBytes        int // of answers to the server waiting to be written, a flood above; default 64 KiB
	ResponseBytes       int // of a response body; default 16 KiB
	ResponseHeaderBytes int // of a response's header list, as RFC 9113 counts; default 16 KiB
	HeaderTableBytes    int // of HPACK's table for what we send, if the server allows it; default 4 KiB
	ReceiveWindow       int // of the connection, in bytes; default 1 MiB
	WaitingRoundTrips   int // RoundTrip calls waiting for a stream; default 10,000

	RequestTimeout time.Duration // where Request.Timeout is 0; default 30 s
	OpenTimeout    time.Duration // until SETTINGS are exchanged; default 10 s
	PingAfter      time.Duration // of silence; default 15 s
	PingTimeout    time.Duration // for its answer; default 15 s
	CloseTimeout   time.Duration // for the last bytes to leave; default 1 s
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&c.MaxStreams, 1000)
	orInt(&c.WriteBytes, 256<<10)
	orInt(&c.ReadBytes, 64<<10)
	c.ReadBytes = max(c.ReadBytes, 2*maxReadFrame)
	orInt(&c.ControlBytes, 64<<10)
	orInt(&c.ResponseBytes, 16<<10)
	orInt(&c.ResponseHeaderBytes, 16<<10)
	orInt(&c.HeaderTableBytes, 4096)
	orInt(&c.ReceiveWindow, 1<<20)
	c.ReceiveWindow = min(max(c.ReceiveWindow, defaultWindow), maxWindow)
	orInt(&c.WaitingRoundTrips, 10000)
	orTime(&c.RequestTimeout, 30*time.Second)
	orTime(&c.OpenTimeout, 10*time.Second)
	orTime(&c.PingAfter, 15*time.Second)
	orTime(&c.PingTimeout, 15*time.Second)
	orTime(&c.CloseTimeout, time.Second)
	if c.Complete == nil {
		c.Complete = func(*Conn, []*Request) {}
	}
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	return c
}

// streamWindow is what each response body may fill. It is larger than the bound,
// so that a body above it is seen and refused, and does not hang.
func (c *Config) streamWindow() int {
	return min(c.ResponseBytes+maxReadFrame, maxWindow)
}
