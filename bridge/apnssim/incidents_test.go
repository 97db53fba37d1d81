package apnssim

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// The stream limit follows the verdicts: it is low at first, full after an acceptance, low again
// after a rejection, and does not change with trouble of APNs' own.
func TestThrottle(t *testing.T) {
	sim := start(t, Scenario{
		Throttle:             &Throttle{},
		MaxConcurrentStreams: 500,
		Reasons: []Rule{
			{Prefix: "bad1", Reason: BadTopic}, {Prefix: "5", Reason: ServiceUnavailable}, {Prefix: "dead", Reason: Unregistered},
		},
	})
	c := dial(t, sim)
	id := uint32(1)
	for _, step := range []struct {
		token string
		limit uint32 // afterwards
	}{
		{"bad1", 1}, {"dead", 1}, {"", 500}, {"", 500}, {"dead", 500}, {"5", 500}, {"bad1", 1}, {"5", 1}, {"bad1", 1}, {"", 500},
	} {
		c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.headers(device(step.token)),
			EndHeaders: true}))
		c.check(c.framer.WriteData(id, true, []byte("{}")))
		c.answer(id)
		c.ping() // SETTINGS come before its answer
		if got := c.settings[http2.SettingMaxConcurrentStreams]; got != step.limit {
			t.Errorf("stream %d, token %q: got a limit of %d, want %d", id, step.token, got, step.limit)
		}
		id += 2
	}
	if s := sim.Stats(); s.Refused != 0 {
		t.Errorf("got %+v", s)
	}
}

// A connection with too many errors ends with GOAWAY. Devices that are gone do not count.
func TestErrorLimit(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit ErrorLimit
		push  []string
	}{
		{"errors", ErrorLimit{Errors: 3}, []string{"dead", "dead", "", "bad0", "bad1", "dead", "", "bad1"}},
		{"bad tokens", ErrorLimit{Errors: 100, BadTokens: 2}, []string{"bad1", "bad1", "bad1", "bad0", "dead", "bad0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := start(t, Scenario{ErrorLimit: &test.limit, Reasons: []Rule{{Prefix: "bad1", Reason: BadPriority}}})
			c := dial(t, sim)
			for i, token := range test.push {
				id := uint32(1 + 2*i)
				c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.headers(device(token)),
					EndHeaders: true}))
				c.check(c.framer.WriteData(id, true, []byte("{}")))
				if i == len(test.push)-1 {
					break
				}
				c.answer(id)
				c.ping()
			}
			if got, want := c.goAway().LastStreamID, uint32(2*len(test.push)-1); got != want {
				t.Errorf("last stream %d, want %d", got, want)
			}
		})
	}
}

// Trouble with a certificate is reported by a GOAWAY, for all requests on the connection.
func TestCertificateGoAway(t *testing.T) {
	sim := start(t, Scenario{CertificateGoAway: true, Reasons: []Rule{{Reason: BadCertificateEnvironment}}})
	c := dial(t, sim)
	c.begin(1)
	c.push(3)
	f := c.goAway()
	if f.LastStreamID != 0 || string(f.DebugData()) != `{"reason":"BadCertificateEnvironment"}` {
		t.Errorf("got last stream %d, %q", f.LastStreamID, f.DebugData())
	}
}

// Streams that were open at the GOAWAY are answered, later ones are ignored, and then the
// connection ends.
func TestGoAwayGraceful(t *testing.T) {
	sim := start(t, Scenario{GoAway: &GoAway{After: 2, Cause: "Shutdown"}})
	c := dial(t, sim)
	c.begin(1)
	c.push(3)
	c.push(5)
	f := c.goAway()
	if f.LastStreamID != 5 || f.ErrCode != http2.ErrCodeNo || string(f.DebugData()) != `{"reason":"Shutdown"}` {
		t.Errorf("got last stream %d, %v, %q", f.LastStreamID, f.ErrCode, f.DebugData())
	}
	c.push(7)
	c.check(c.framer.WriteData(1, true, []byte("{}")))
	if status, _ := c.answer(1); status != "200" {
		t.Errorf("got %q", status)
	}
	c.ended()
	if got := sim.Stats(); got.Received != 3 || got.GoAways != 1 {
		t.Errorf("got %+v", got)
	}
	c.conn.Close()
	wait(t, sim, func(s Stats) bool { return s.OpenConnections == 0 && s.Streams == 0 })
}

func TestGoAwayDouble(t *testing.T) {
	sim := start(t, Scenario{GoAway: &GoAway{After: 1, Mode: Double, Pause: 2000}}) // long enough for one push
	c := dial(t, sim)
	c.push(1)
	if got := c.goAway().LastStreamID; got != math.MaxInt32 {
		t.Errorf("got last stream %d at first", got)
	}
	c.push(3)
	if status, _ := c.answer(3); status != "200" {
		t.Errorf("got %q between the two", status)
	}
	if got := c.goAway().LastStreamID; got != 3 {
		t.Errorf("got last stream %d in the end", got)
	}
	c.ended()
}

// Every push that has a verdict is answered before the end, and no other push has one.
func TestGoAwayAbrupt(t *testing.T) {
	sim := start(t, Scenario{Latency: Latency{Fixed: 60_000}, GoAway: &GoAway{After: 3, Mode: Abrupt}})
	c := dial(t, sim)
	c.push(1)
	c.push(3)
	c.begin(5)
	c.push(7)
	answered := make(map[uint32]bool)
	for {
		f := c.next()
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			answered[h.StreamID] = true
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if g.LastStreamID != 3 {
				t.Errorf("got last stream %d, want 3", g.LastStreamID)
			}
			break
		}
	}
	if len(answered) != 3 || answered[5] {
		t.Errorf("got answers for %v", answered)
	}
	c.ended()
	if got := sim.Stats().Received; got != 3 {
		t.Errorf("got %d pushes", got)
	}
}

func TestGoAwayCut(t *testing.T) {
	sim := start(t, Scenario{Latency: Latency{Fixed: 60_000}, GoAway: &GoAway{After: 1, Mode: Cut, Times: 1}})
	c := dial(t, sim)
	c.push(1)
	for {
		_, err := c.framer.ReadFrame()
		if errors.Is(err, syscall.ECONNRESET) {
			break
		}
		c.check(err)
	}
	if got := sim.Stats(); got.Accepted != 1 || got.GoAways != 0 {
		t.Errorf("got %+v", got)
	}
}

// With Times, a GOAWAY ends only that many connections, and does so at once.
func TestGoAwayTimes(t *testing.T) {
	sim := start(t, Scenario{})
	first, second := dial(t, sim), dial(t, sim)
	first.ping()
	second.ping()
	if err := sim.SetScenario(Scenario{GoAway: &GoAway{Times: 1}}); err != nil {
		t.Fatal(err)
	}
	wait(t, sim, func(s Stats) bool { return s.GoAways == 1 })
	third := dial(t, sim)
	third.ping()
	if got := sim.Stats().GoAways; got != 1 {
		t.Errorf("got %d GOAWAYs", got)
	}
}

func TestResets(t *testing.T) {
	for _, test := range []struct {
		resets   Resets
		status   string
		code     http2.ErrCode
		received int
	}{
		{Resets{}, "", http2.ErrCodeRefusedStream, 0},
		{Resets{Code: "INTERNAL_ERROR"}, "", http2.ErrCodeInternal, 0},
		{Resets{When: Lost}, "", http2.ErrCodeInternal, 1},
		{Resets{When: Lost, Code: "CANCEL"}, "", http2.ErrCodeCancel, 1},
		{Resets{When: Finished}, "200", http2.ErrCodeNo, 1},
	} {
		sim := start(t, Scenario{Resets: &test.resets})
		c := dial(t, sim)
		c.push(1)
		status, code := c.answer(1)
		if status == "200" {
			_, code = c.answer(1)
		}
		if status != test.status || code != test.code {
			t.Errorf("%+v: got %q, %v; want %q, %v", test.resets, status, code, test.status, test.code)
		}
		if s := sim.Stats(); s.Received != test.received || s.Resets != 1 || s.Streams != 0 {
			t.Errorf("%+v: got %+v", test.resets, s)
		}
	}
}

// Out of a black hole nothing comes back, not even the answer to a PING, while the connection stays
// open.
func TestBlackHole(t *testing.T) {
	for _, accept := range []bool{false, true} {
		sim := start(t, Scenario{BlackHole: &BlackHole{After: 1, Times: 1, Accept: accept}})
		c := dial(t, sim)
		c.push(1)
		if status, _ := c.answer(1); status != "200" {
			t.Errorf("got %q before", status)
		}
		c.push(3)
		c.check(c.framer.WritePing(false, [8]byte{}))
		if accept {
			wait(t, sim, func(s Stats) bool { return s.Received == 2 })
		}
		other := dial(t, sim)
		other.push(1)
		if status, _ := other.answer(1); status != "200" {
			t.Errorf("got %q on another connection", status)
		}
		c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if f, err := c.framer.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, %v out of a black hole", f, err)
		}
		want := 2
		if accept {
			want = 3
		}
		if got := sim.Stats().Received; got != want {
			t.Errorf("accept %v: got %d pushes, want %d", accept, got, want)
		}
	}
}

// An outage that refuses connections ends those that are open, and refuses new ones until it is
// over.
func TestOutageOfConnections(t *testing.T) {
	sim := start(t, Scenario{})
	c := dial(t, sim)
	c.ping()
	if err := sim.SetScenario(Scenario{Outage: &Outage{Refuse: true}}); err != nil {
		t.Fatal(err)
	}
	wait(t, sim, func(s Stats) bool { return s.OpenConnections == 0 })
	// The reset may come before the dial has returned.
	late, err := net.Dial("tcp", sim.Addr())
	if err == nil {
		_, err = late.Read(make([]byte, 1))
		late.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v for a new connection", err)
	}
	if err := sim.SetScenario(Scenario{}); err != nil {
		t.Fatal(err)
	}
	send(t, client(t), newPush(t, sim, device(""), "{}"))
}

// Answers come after their latency, and overtake one another if it differs.
func TestLatency(t *testing.T) {
	slow, fast := Latency{Fixed: 80}, Latency{Fixed: 20, Jitter: 5}
	sim := start(t, Scenario{Latency: slow, Reasons: []Rule{{Prefix: "fa", Latency: &fast}}})
	c := dial(t, sim)
	began := time.Now()
	c.push(1)
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.headers(device("fa")),
		EndHeaders: true}))
	c.check(c.framer.WriteData(3, true, []byte("{}")))
	c.answer(3)
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("an answer came after %v", took)
	}
	c.answer(1)
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("an answer came after %v", took)
	}
}

// The scenario changes under load: limits go up and down, verdicts change,
// and no answer is lost.
func TestScenarioSwitches(t *testing.T) {
	sim := start(t, Scenario{})
	scenarios := []Scenario{
		{MaxConcurrentStreams: 100, Latency: Latency{Fixed: 1, Jitter: 1}},
		{Windows: Windows{Stream: 1000, Connection: 1 << 20}},
		{Reasons: []Rule{{Reason: InternalServerError, Probability: 0.5}}},
		{Throttle: &Throttle{Low: 50}, Reasons: []Rule{{Reason: Forbidden, Probability: 0.3}}},
		{Windows: Windows{Stream: 100}, SlowBody: &SlowBody{}},
		{},
	}
	const senders, each = 20, 100
	done := make(chan error, senders)
	c := client(t)
	for range senders {
		r := newPush(t, sim, device(""), "{}")
		go func() {
			for range each {
				body, err := r.GetBody()
				if err == nil {
					again := r.Clone(r.Context())
					again.Body = body
					_, err = trySend(c, again)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for received := 0; received < senders*each; received += 100 {
		wait(t, sim, func(s Stats) bool { return s.Received >= received })
		if err := sim.SetScenario(scenarios[received/100%len(scenarios)]); err != nil {
			t.Fatal(err)
		}
	}
	for range senders {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s := sim.Stats(); s.Received != senders*each || s.OverLimit != 0 || s.Violations != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestBadScenarios(t *testing.T) {
	sim := start(t, Scenario{})
	for _, text := range []string{
		`{"latency":{"fixed_ms":-1}}`,
		`{"latency":20}`,
		`{"latncy":{}}`,
		`{} {}`,
		``,
		`[]`,
		`{"environment":"staging"}`,
		`{"outage":{"probability":2}}`,
		`{"outage":{"reason":"Nap"}}`,
		`{"outage":{"status":99}}`,
		`{"reasons":[{"prefix":"BAD"}]}`,
		`{"reasons":[{"reason":"Nap"}]}`,
		`{"reasons":[{"times":-1}]}`,
		`{"reasons":[{"probability":-0.1}]}`,
		`{"reasons":[{"status":1000}]}`,
		`{"reasons":[{"latency":{"jitter_ms":-1}}]}`,
		`{"keys":[{"key_id":"A"}]}`,
		`{"keys":[{"key_id":"A","team_id":"B","pem":"C"}]}`,
		`{"device_limit":{"count":1}}`,
		`{"key_updates":{"seconds":1}}`,
		`{"max_concurrent_streams":-1}`,
		`{"throttle":{"low":1001}}`,
		`{"windows":{"stream":-1}}`,
		`{"windows":{"connection":1000}}`,
		`{"windows":{"return_ms":-1}}`,
		`{"goaway":{"mode":"rude"}}`,
		`{"goaway":{"after":-1}}`,
		`{"resets":{"when":"never"}}`,
		`{"resets":{"code":"OOPS"}}`,
		`{"resets":{"probability":7}}`,
		`{"black_hole":{"after":-1}}`,
		`{"slow_body":{"bytes":-1}}`,
	} {
		s, err := ParseScenario([]byte(text))
		if err == nil {
			t.Errorf("%s was accepted as %+v", text, s)
		}
	}
	if err := sim.SetScenario(Scenario{MaxConcurrentStreams: -1}); err == nil {
		t.Error("a bad scenario was accepted")
	}
	if _, err := Start(Config{Scenario: Scenario{MaxConcurrentStreams: -1}}); err == nil {
		t.Error("started with a bad scenario")
	}
}

// Wait returns when its context ends, and notices what happens while it waits.
func TestWait(t *testing.T) {
	sim := start(t, Scenario{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sim.Wait(ctx, func(Stats) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c := dial(t, sim)
	c.begin(1)
	c.ping()
	wait(t, sim, func(s Stats) bool { return s.Connections == 1 && s.Streams == 1 })
	c.check(c.conn.Close())
	wait(t, sim, func(s Stats) bool { return s.OpenConnections == 0 && s.Streams == 0 })
}

// Close ends connections in any state, and can be called again.
func TestClose(t *testing.T) {
	sim := start(t, Scenario{Latency: Latency{Fixed: 60_000}})
	silent, err := net.Dial("tcp", sim.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := dial(t, sim)
	c.push(1)
	wait(t, sim, func(s Stats) bool { return s.Received == 1 })
	for range 2 {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := io.ReadAll(c.conn); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) &&
		!errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	if got := len(sim.Received(0).Pushes); got != 1 {
		t.Errorf("got %d pushes after Close", got)
	}
}
