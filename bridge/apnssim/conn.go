package apnssim

import (
	"bufio"
	"crypto/tls"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// bufferSize is that of the buffers under and over TLS, in bytes.
const bufferSize = 64 << 10

// conn is one client's connection. One goroutine reads and judges, another
// writes and keeps the time; they share what stands under mu.
type conn struct {
	sim    *Simulator
	number int
	raw    net.Conn
	tls    *tls.Conn
	client identity
	start  time.Time

	// of the reader
	framer   *http2.Framer // reads from tls; what it writes goes to out, under mu
	fields   *hpack.Decoder
	block    block
	question question
	token    providerToken
	keyID    string // of the first good provider token, as teamID
	teamID   string

	wake chan struct{} // capacity 1: there is something for the writer

	mu        sync.Mutex
	out       output
	room      sync.Cond // out has been taken by the writer
	dirty     bool      // the writer has to look again, even if out is empty
	finish    bool      // write out, say goodbye, and end
	gone      bool      // it is not read any more
	due       schedule
	script    *script
	lots      *rand.Rand
	bound     *script // of the first push
	requests  int     // complete ones since the scenario began
	errors    int     // of those, answered with 4xx but 410
	badTokens int     // of those, with BadDeviceToken

	streams map[uint32]*stream
	free    []*stream
	maxID   uint32 // the highest stream that the client has opened
	past    history
	blocked []*stream

	limit    int       // of streams, as last announced
	window   int       // of a stream, as last announced
	settings []offered // not yet acknowledged, oldest first
	believed int       // the limit that the client has acknowledged
	opening  int       // the window with which it opens streams
	receive  int       // the connection's window
	left     int       // of it, what the client may still send
	owed     int       // of it, what was read and not yet given back

	sendLeft     int // what we may still send on the connection
	sendOpening  int // on a new stream
	sendFrame    int // in a frame
	tableChanged bool

	away    bool // GOAWAY is under way, its last stream not yet fixed
	leaving bool // streams above last are not looked at
	last    uint32
}

// offered is what a SETTINGS frame has announced.
type offered struct{ limit, window int }

// maxSettings bounds the SETTINGS that a client leaves unacknowledged.
const maxSettings = 1000

// output is what the framer writes into.
type output struct {
	bytes []byte
	muted bool // a black hole: nothing is added any more
}

func (o *output) Write(b []byte) (int, error) {
	if !o.muted {
		o.bytes = append(o.bytes, b...)
	}
	return len(b), nil
}

func newConn(s *Simulator, raw net.Conn) *conn {
	c := &conn{
		sim:         s,
		raw:         raw,
		start:       time.Now(),
		wake:        make(chan struct{}, 1),
		streams:     make(map[uint32]*stream),
		believed:    math.MaxInt,
		opening:     defaultWindow,
		window:      defaultWindow,
		receive:     defaultWindow,
		left:        defaultWindow,
		sendLeft:    defaultWindow,
		sendOpening: defaultWindow,
		sendFrame:   minFrame,
	}
	c.room.L = &c.mu
	c.tls = s.server(raw, c.rouse)
	c.framer = http2.NewFramer(&c.out, bufio.NewReaderSize(c.tls, bufferSize))
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(minFrame)
	c.fields = hpack.NewDecoder(4096, c.block.field)
	c.fields.SetMaxStringLength(maxBlock)
	return c
}

// minFrame is the frame size that every peer takes, in bytes (RFC 9113, 4.2).
const minFrame = 16 << 10

// perform begins a scenario. Its limits go out as SETTINGS, which are the
// connection's first if it has had none.
func (c *conn) perform(p *script) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number == 0 {
		return // in the handshake still; begin performs what is current then
	}
	c.script, c.lots = p, p.random(c.number)
	c.requests, c.errors, c.badTokens = 0, 0, 0
	c.offer(p.low, p.stream)
	if more := p.receive - c.receive; more > 0 {
		c.framer.WriteWindowUpdate(0, uint32(more))
		c.left += more
	} else {
		c.owed += more // a window cannot be taken back, only not be refilled
	}
	c.receive = p.receive
	c.incidents()
	if p.Outage != nil && p.Outage.Refuse {
		reset(c.raw)
	}
	c.rouseLocked()
}

// offer announces limits, if they are others than before. A wider window counts
// at once, since the client may use it before its acknowledgement arrives; a
// narrower one from there on.
func (c *conn) offer(limit, window int) {
	if limit == c.limit && window == c.window {
		return
	}
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(limit)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(window)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders},
	)
	if window > c.opening {
		c.reopen(window)
	}
	c.limit, c.window = limit, window
	c.settings = append(c.settings, offered{limit, window})
}

// acknowledged takes the client's word that it has seen the oldest offer.
func (c *conn) acknowledged() {
	if len(c.settings) == 0 {
		return
	}
	o := c.settings[0]
	c.settings = c.settings[1:]
	c.believed = o.limit
	if o.window < c.opening && len(c.settings) == 0 {
		c.reopen(o.window)
	}
}

// reopen changes the window of new streams and, by the difference, of all.
func (c *conn) reopen(window int) {
	for _, s := range c.streams {
		s.left += window - c.opening
	}
	c.opening = window
}

// allowed is the highest limit that the client may believe in.
func (c *conn) allowed() int {
	limit := c.believed
	for _, o := range c.settings {
		limit = max(limit, o.limit)
	}
	return limit
}

// touch notes that the writer has to look again.
func (c *conn) touch() { c.dirty = true }

// rouse wakes the writer if there is something for it.
func (c *conn) rouse() {
	c.mu.Lock()
	c.rouseLocked()
	c.mu.Unlock()
}

func (c *conn) rouseLocked() {
	if !c.dirty && len(c.out.bytes) == 0 {
		return
	}
	c.dirty = false
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
