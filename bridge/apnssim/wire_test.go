package apnssim

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// After a violation of the protocol, the connection ends with GOAWAY and the right code, or only
// the stream is reset if that is enough (RFC 9113).
func TestViolations(t *testing.T) {
	for _, test := range []struct {
		name   string
		commit func(*rawClient)
		goAway http2.ErrCode
		reset  http2.ErrCode // of stream 1, if the connection stays
	}{
		{"even stream", func(c *rawClient) { c.push(2) }, http2.ErrCodeProtocol, 0},
		{"data before headers", func(c *rawClient) { c.framer.WriteData(1, true, nil) }, http2.ErrCodeProtocol, 0},
		{"reset of an idle stream", func(c *rawClient) { c.framer.WriteRSTStream(1, 0) }, http2.ErrCodeProtocol, 0},
		{"window of an idle stream", func(c *rawClient) { c.framer.WriteWindowUpdate(1, 1) }, http2.ErrCodeProtocol, 0},
		{"push promise", func(c *rawClient) {
			c.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte{0x82},
				EndHeaders: true})
		}, http2.ErrCodeProtocol, 0},
		{"frame too large", func(c *rawClient) { c.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, minFrame+1)) }, http2.ErrCodeFrameSize, 0},
		{"headers that cannot be decoded", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff},
				EndHeaders: true})
		}, http2.ErrCodeCompression, 0},
		{"headers without end", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for range maxBlock/minFrame + 1 {
				c.framer.WriteContinuation(1, false, bytes.Repeat([]byte{0x82}, minFrame))
			}
		}, http2.ErrCodeEnhanceYourCalm, 0},
		{"another frame among headers", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			c.framer.WritePing(false, [8]byte{})
		}, http2.ErrCodeProtocol, 0},
		{"connection window", func(c *rawClient) {
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			c.framer.WriteWindowUpdate(0, math.MaxInt32)
		}, http2.ErrCodeFlowControl, 0},
		{"initial window", func(c *rawClient) {
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, http2.ErrCodeFlowControl, 0},
		{"pseudo-header missing", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x87}, EndHeaders: true})
		}, 0, http2.ErrCodeProtocol},
		{"pseudo-header twice", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x83, 0x84, 0x87},
				EndHeaders: true})
		}, 0, http2.ErrCodeProtocol},
		{"empty path", func(c *rawClient) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x87, 0x04, 0},
				EndHeaders: true})
		}, 0, http2.ErrCodeProtocol},
		{"lower stream", func(c *rawClient) { c.begin(5); c.begin(3) }, http2.ErrCodeProtocol, 0},
		{"headers of a stream given up", func(c *rawClient) {
			c.begin(1)
			c.framer.WriteRSTStream(1, http2.ErrCodeCancel)
			c.begin(1)
		}, http2.ErrCodeStreamClosed, 0},
		{"data of a stream given up", func(c *rawClient) {
			c.begin(1)
			c.framer.WriteRSTStream(1, http2.ErrCodeCancel)
			c.framer.WriteData(1, true, nil)
		}, 0, http2.ErrCodeStreamClosed},
		{"two header blocks", func(c *rawClient) { c.begin(1); c.begin(1) }, 0, http2.ErrCodeProtocol},
		{"data behind the end", func(c *rawClient) { c.push(1); c.framer.WriteData(1, true, nil) }, 0, http2.ErrCodeStreamClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			// So slow that stream 1 is still open whatever comes.
			sim := start(t, Scenario{Latency: Latency{Fixed: 60_000}})
			c := dial(t, sim)
			test.commit(c)
			if test.goAway != 0 {
				if got := c.goAway().ErrCode; got != test.goAway {
					t.Errorf("got GOAWAY %v, want %v", got, test.goAway)
				}
				c.ended()
				if got := sim.Stats().Violations; got != 1 {
					t.Errorf("got %d violations", got)
				}
				return
			}
			if _, got := c.answer(1); got != test.reset {
				t.Errorf("got RST_STREAM %v, want %v", got, test.reset)
			}
			c.ping()
		})
	}
}

// The connection of a client that cancels its streams as fast as it opens them is ended before
// the answers that are due for them fill the memory.
func TestStreamsGivenUp(t *testing.T) {
	sim := start(t, Scenario{Latency: Latency{Fixed: 60_000}})
	c := dial(t, sim)
	c.ping()
	c.push(1)
	block := bytes.Clone(c.headers(device(""))) // all of it is in the dynamic table by now
	var b bytes.Buffer
	framer := http2.NewFramer(&b, nil)
	for id := uint32(3); id < 2*(maxDue+defaultStreams+10); id += 2 {
		c.check(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}))
		c.check(framer.WriteData(id, true, []byte("{}")))
		c.check(framer.WriteRSTStream(id, http2.ErrCodeCancel))
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.conn.Write(b.Bytes()) // fails, since the simulator stops reading
	}()
	if code := c.goAway().ErrCode; code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("got %v", code)
	}
	c.conn.Close()
	<-written
}

func TestNotHTTP2(t *testing.T) {
	sim := start(t, Scenario{})
	c := dial(t, sim)
	c.must(c.conn.Write(make([]byte, 10)))
	c.goAway()
	c.ended()
}

// Header blocks may come in pieces, with padding and priority, and trailers
// may follow.
func TestHeaderShapes(t *testing.T) {
	sim := start(t, Scenario{})
	c := dial(t, sim)
	block := bytes.Clone(c.headers(device("")))
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block[:1], PadLength: 5, Priority: http2.PriorityParam{Weight: 3},
	}))
	for _, b := range block[1 : len(block)-1] {
		c.check(c.framer.WriteContinuation(1, false, []byte{b}))
	}
	c.check(c.framer.WriteContinuation(1, true, block[len(block)-1:]))
	c.check(c.framer.WriteDataPadded(1, false, []byte("{"), make([]byte, 9)))
	c.check(c.framer.WriteData(1, false, nil))
	c.check(c.framer.WriteDataPadded(1, false, []byte("}"), make([]byte, 9)))
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true}))
	if status, _ := c.answer(1); status != "200" {
		t.Errorf("got %s", status)
	}
	if got := sim.Received(0).Pushes[0]; string(got.Payload) != "{}" || got.Token != device("") {
		t.Errorf("got %+v", got)
	}
}

// Bodies larger than the windows arrive whole: the windows are opened again while they are sent,
// and clients wait for that.
func TestWindowsForBodies(t *testing.T) {
	for name, windows := range map[string]Windows{
		"default":         {},
		"small stream":    {Stream: 10},
		"one byte":        {Stream: 1},
		"large":           {Stream: 1 << 20, Connection: 1 << 20},
		"long round trip": {Return: 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := start(t, Scenario{Windows: windows})
			c := client(t)
			// Once this push is answered, the client has the first SETTINGS. The push has no DATA,
			// because x/net may count DATA against the old window, and write it only after it has
			// acknowledged the new one.
			send(t, c, newPush(t, sim, device(""), ""))
			payload := strings.Repeat("p", 4096)
			results := make(chan verdictOf)
			const pushes = 50
			for range pushes {
				r := newPush(t, sim, device(""), payload)
				go func() {
					v, err := trySend(c, r)
					if err != nil {
						t.Error(err)
					}
					results <- v
				}()
			}
			for range pushes {
				if v := <-results; v.Status != 200 {
					t.Errorf("got %+v", v)
				}
			}
			for _, push := range sim.Received(1).Pushes {
				if string(push.Payload) != payload {
					t.Fatalf("a payload arrived as %d bytes", len(push.Payload))
				}
			}
		})
	}
}

// A client that ignores the windows gets a FLOW_CONTROL_ERROR.
func TestWindowsOverrun(t *testing.T) {
	sim := start(t, Scenario{Windows: Windows{Stream: 10}})
	c := dial(t, sim)
	c.ping() // SETTINGS are acknowledged
	c.begin(1)
	c.check(c.framer.WriteData(1, true, make([]byte, 11)))
	if _, code := c.answer(1); code != http2.ErrCodeFlowControl {
		t.Errorf("got %v for the stream", code)
	}

	sim = start(t, Scenario{Windows: Windows{Return: 60_000}})
	c = dial(t, sim)
	for id := uint32(1); id <= 9; id += 2 {
		c.begin(id)
		c.check(c.framer.WriteData(id, true, make([]byte, 15_000)))
	}
	if code := c.goAway().ErrCode; code != http2.ErrCodeFlowControl {
		t.Errorf("got %v for the connection", code)
	}
}

// Answers keep to the client's windows, too.
func TestWindowsForAnswers(t *testing.T) {
	sim := start(t, Scenario{Reasons: []Rule{{Reason: Forbidden}}})
	c := dial(t, sim, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
	c.push(1)
	const body = `{"reason":"Forbidden"}`
	var got []byte
	take := func() int {
		for {
			if f, ok := c.next().(*http2.DataFrame); ok {
				got = append(got, f.Data()...)
				return len(f.Data())
			}
		}
	}
	if n := take(); n != 4 {
		t.Errorf("got %d bytes within a window of 4", n)
	}
	c.check(c.framer.WriteWindowUpdate(1, 5))
	if n := take(); n != 5 {
		t.Errorf("got %d bytes within a window of 5", n)
	}
	c.check(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4 + 6}))
	if n := take(); n != 6 {
		t.Errorf("got %d bytes within a window of 6", n)
	}
	c.check(c.framer.WriteWindowUpdate(1, 1000))
	take()
	if string(got) != body {
		t.Errorf("got %q, want %q", got, body)
	}
}

// A client that forbids a dynamic table gets one table size update (RFC 7541, 4.2).
func TestHeaderTable(t *testing.T) {
	sim := start(t, Scenario{})
	c := dial(t, sim, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	c.framer.ReadMetaHeaders = nil
	for _, id := range []uint32{1, 3} {
		c.push(id)
		for {
			f, ok := c.next().(*http2.HeadersFrame)
			if !ok {
				continue
			}
			if got, want := f.HeaderBlockFragment()[0] == 0x20, id == 1; got != want {
				t.Errorf("stream %d: got a table size update: %v, want %v", id, got, want)
			}
			break
		}
	}
}

// Streams above the limit are refused, and counted as a mistake of the client if it has
// acknowledged the limit.
func TestStreamLimit(t *testing.T) {
	sim := start(t, Scenario{MaxConcurrentStreams: 2})
	c := dial(t, sim)
	c.nextSettings()
	if got := c.settings[http2.SettingMaxConcurrentStreams]; got != 2 {
		t.Fatalf("got a limit of %d", got)
	}
	for _, id := range []uint32{1, 3, 5} {
		c.begin(id)
	}
	if _, code := c.answer(5); code != http2.ErrCodeRefusedStream {
		t.Errorf("got %v", code)
	}
	if s := sim.Stats(); s.Refused != 1 || s.OverLimit != 0 || s.Streams != 2 || s.PeakStreams != 2 {
		t.Errorf("got %+v", s)
	}
	c.check(c.framer.WriteSettingsAck())
	c.begin(7)
	c.answer(7)
	if s := sim.Stats(); s.Refused != 2 || s.OverLimit != 1 {
		t.Errorf("got %+v", s)
	}
	c.check(c.framer.WriteRSTStream(1, http2.ErrCodeCancel))
	c.push(9)
	if status, code := c.answer(9); status != "200" {
		t.Errorf("got %q %v after a stream was given up", status, code)
	}
}

// The simulator stops reading from a client that does not read. Nothing is lost.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	sim := start(t, Scenario{})
	c := dial(t, sim)
	const pings = 200_000 // 3.4 MB of answers
	failed := make(chan error, 1)
	go func() {
		var err error
		for range pings {
			if err = c.framer.WritePing(false, [8]byte{}); err != nil {
				break
			}
		}
		failed <- err
	}()
	for answers := 0; answers < pings; {
		f, err := c.framer.ReadFrame()
		c.check(err)
		if _, ok := f.(*http2.PingFrame); ok {
			answers++
		}
	}
	c.check(<-failed)
}
