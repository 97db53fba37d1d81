package apnssim

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawClient speaks HTTP/2 frame by frame, so that a test can send what no well-behaved client
// would.
type rawClient struct {
	t        testing.TB
	conn     *tls.Conn
	framer   *http2.Framer
	encoder  *hpack.Encoder
	block    bytes.Buffer
	bearer   string
	settings map[http2.SettingID]uint32 // as last received
}

// dial connects and sends the preface with settings.
func dial(t testing.TB, sim *Simulator, settings ...http2.Setting) *rawClient {
	t.Helper()
	conn, err := tls.Dial("tcp", sim.Addr(), &tls.Config{RootCAs: pki().Pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: t, conn: conn, bearer: bearer(t, "KEY", "TEAM", sim.now()),
		settings: make(map[http2.SettingID]uint32)}
	c.framer = http2.NewFramer(conn, conn)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.must(io.WriteString(conn, http2.ClientPreface))
	c.check(c.framer.WriteSettings(settings...))
	return c
}

func (c *rawClient) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) must(_ int, err error) {
	c.t.Helper()
	c.check(err)
}

// headers encodes the headers of a valid push.
func (c *rawClient) headers(token string) []byte {
	c.block.Reset()
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", "/3/device/" + token}, {":authority", "api.push.apple.com"},
		{"authorization", c.bearer}, {"apns-topic", topic}, {"apns-push-type", "alert"},
	} {
		c.check(c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	return c.block.Bytes()
}

// begin opens a stream whose body is still to come; push opens one with its body.
func (c *rawClient) begin(id uint32) {
	c.t.Helper()
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.headers(device("")),
		EndHeaders: true}))
}

func (c *rawClient) push(id uint32) {
	c.t.Helper()
	c.begin(id)
	c.check(c.framer.WriteData(id, true, []byte("{}")))
}

// next returns the next frame that is not SETTINGS. It notes and acknowledges SETTINGS on the way.
func (c *rawClient) next() http2.Frame {
	c.t.Helper()
	for {
		f, err := c.framer.ReadFrame()
		c.check(err)
		s, ok := f.(*http2.SettingsFrame)
		if !ok {
			return f
		}
		if !s.IsAck() {
			c.note(s)
			c.check(c.framer.WriteSettingsAck())
		}
	}
}

func (c *rawClient) note(s *http2.SettingsFrame) {
	s.ForeachSetting(func(s http2.Setting) error {
		c.settings[s.ID] = s.Val
		return nil
	})
}

// nextSettings reads up to SETTINGS, which it does not acknowledge.
func (c *rawClient) nextSettings() {
	c.t.Helper()
	for {
		f, err := c.framer.ReadFrame()
		c.check(err)
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			c.note(s)
			return
		}
	}
}

// answer reads until stream id has its whole answer, and returns its status, or "" and the error
// code if the stream was reset.
func (c *rawClient) answer(id uint32) (status string, code http2.ErrCode) {
	c.t.Helper()
	for {
		f := c.next()
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			status = f.PseudoValue("status")
			if f.StreamEnded() {
				return status, 0
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return status, 0
			}
		case *http2.RSTStreamFrame:
			return "", f.ErrCode
		}
	}
}

// goAway reads up to a GOAWAY.
func (c *rawClient) goAway() *http2.GoAwayFrame {
	c.t.Helper()
	for {
		if f, ok := c.next().(*http2.GoAwayFrame); ok {
			return f
		}
	}
}

// ping checks that the simulator still answers. Once ping returns, the simulator has seen all that
// was sent before.
func (c *rawClient) ping() {
	c.t.Helper()
	c.check(c.framer.WritePing(false, [8]byte{1}))
	for {
		if f, ok := c.next().(*http2.PingFrame); ok && f.IsAck() {
			return
		}
	}
}

// ended reads until the simulator has ended the connection, and checks that it did so cleanly.
func (c *rawClient) ended() {
	c.t.Helper()
	for {
		_, err := c.framer.ReadFrame()
		if err == io.EOF {
			return
		}
		c.check(err)
	}
}
