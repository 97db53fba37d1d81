package endtoend

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// late is an APNs that answers long after the provider has written more.
var late = apnssim.Scenario{Latency: apnssim.Latency{Fixed: 100}}

// mailing is a list of notifications, no two alike, some with a bad token.
type mailing struct {
	tokens []string
	good   map[string]bool
}

// newMailing makes a mailing of count, one in badEvery with a bad token.
func newMailing(count, badEvery int) mailing {
	m := mailing{good: make(map[string]bool)}
	for i := range count {
		if i%badEvery == badEvery/2 {
			m.tokens = append(m.tokens, servertest.Token("bad0", i))
			continue
		}
		m.tokens = append(m.tokens, servertest.Token("1a", i))
		m.good[m.tokens[i]] = true
	}
	return m
}

// lines is the mailing in the form that the foreign senders read.
func (m mailing) lines() string {
	var b strings.Builder
	for i, t := range m.tokens {
		fmt.Fprintf(&b, "%s alert-%d\n", t, i)
	}
	return b.String()
}

// arrives waits until every good notification has been accepted, once.
func (m mailing) arrives(t *testing.T, w *world) {
	t.Helper()
	w.Await("all good ones arrive", func(s apnssim.Stats) bool { return s.Accepted >= len(m.good) })
	w.Stop() // delivers what else is on its way
	times := make(map[string]int)
	for _, p := range w.Sim.Received(0).Pushes {
		if p.Status == 200 {
			times[p.Token]++
		}
	}
	for token := range m.good {
		if times[token] != 1 {
			t.Errorf("the notification for %s was accepted %d times", token, times[token])
		}
	}
	if s := w.Sim.Stats(); s.Duplicates != 0 {
		t.Errorf("%d duplicates", s.Duplicates)
	}
}

// Whatever a provider does after an error packet, every good notification of its
// mailing is delivered once.
func TestExactlyOnce(t *testing.T) {
	m := newMailing(2000, 20)
	for version := range apnVersions {
		t.Run(version, func(t *testing.T) {
			if version != latestAPN && !*long {
				t.Skip("the older ones do the same: -args -long")
			}
			t.Parallel()
			w := newWorld(t, late)
			n := startNodeAPN(t, w, version)
			go func() {
				for line := range strings.Lines(m.lines()) {
					if _, err := io.WriteString(n.stdin, line); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			for range len(m.tokens) - len(m.good) {
				if e := n.await("transmissionError"); e.Status != 8 || !strings.HasPrefix(e.Token, "bad0") {
					t.Errorf("the library reports %+v", e)
				}
			}
			m.arrives(t, w)
		})
	}
	for _, mode := range []string{"resend", "end", "never"} {
		t.Run("PHP, "+mode, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, late)
			out := w.php(mode, m.lines())
			if got, want := strings.Count(out, "error 8 "), len(m.tokens)-len(m.good); mode != "never" && got != want {
				t.Errorf("the script read %d error packets, want %d:\n%s", got, want, out)
			}
			m.arrives(t, w)
		})
	}
	t.Run("MDM, frames without identifier", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, late)
		conn, err := provider.Dial(t.Context(), w.Push, w.ClientTLS())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i, deviceToken := range m.tokens {
			n := binproto.Notification{Command: binproto.Framed, Token: servertest.Unhex(deviceToken),
				Payload: fmt.Appendf(nil, `{"mdm":"%08x"}`, i)}
			if _, err := conn.Write(n.Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		m.arrives(t, w)
	})
}

// With ten thousand frames pipelined behind a bad one, the provider reads its six bytes and
// then an orderly end, and nothing is lost.
func TestPipelinedBehindFailure(t *testing.T) {
	const count = 10_000
	w := newWorld(t, late)
	conn, err := provider.Dial(t.Context(), w.Push, w.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream := servertest.Enhanced(servertest.Token("bad0", 0), 0)
	for i := 1; i <= count; i++ {
		stream = append(stream, servertest.Enhanced(servertest.Token("1b", i), i)...)
	}
	written := make(chan error, 1)
	go func() {
		for len(stream) > 0 && conn != nil {
			n := min(len(stream), 16<<10)
			if _, err := conn.Write(stream[:n]); err != nil {
				written <- err
				return
			}
			stream = stream[n:]
		}
		written <- nil
	}()
	answer, err := conn.ReadResponse()
	if want := (binproto.Response{Status: binproto.InvalidToken}); answer != want || err != nil {
		t.Fatalf("got %v and error %v, want %v", answer, err, want)
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("behind the packet: % x and error %v, want an orderly end", rest, err)
	}
	if err := <-written; err != nil {
		t.Errorf("writing: %v", err)
	}
	conn.Close()
	w.Await("all good ones arrive", func(s apnssim.Stats) bool { return s.Accepted >= count })
	w.Stop()
	if s := w.Sim.Stats(); s.Accepted != count || s.Duplicates != 0 {
		t.Errorf("%d were accepted with %d duplicates, want %d and none", s.Accepted, s.Duplicates, count)
	}
}

// After SIGTERM under load, a provider that sends again after status 10, to the process
// started in its place, has everything delivered once.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	const count = 20_000
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 20, Jitter: 20}})
	w.FixPorts()
	before := startProcess(t, w)
	var told atomic.Bool
	client := provider.Client{
		Addr: before.push, TLS: w.ClientTLS(), Quiet: 2 * time.Second, Attempts: 100,
		Packet: func(provider.Packet) { told.Store(true) },
	}
	var report provider.Report
	var err error
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		report, err = client.Send(t.Context(), func(yield func(binproto.Notification) bool) {
			for i := range count {
				if i > count/2 && !told.Load() { // there is something left to write when the gateway goes
					<-time.After(5 * time.Millisecond)
				}
				n := binproto.Notification{
					Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("1c", i)), Identifier: uint32(i),
					HasIdentifier: true, Payload: fmt.Appendf(nil, `{"aps":{"alert":"%d"}}`, i), Expiry: uint32(time.Now().Add(time.Hour).Unix()),
				}
				if !yield(n) {
					return
				}
			}
		})
	}()
	w.Await("a quarter is under way", func(s apnssim.Stats) bool { return s.Received >= count/4 })
	before.terminate()
	if err := before.wait(); err != nil {
		t.Errorf("the first process: %v\n%s", err, strings.Join(before.stdlog, "\n"))
	}
	after := startProcess(t, w)
	<-sent
	if err != nil || report.Uncertain+report.Forgotten > 0 || report.Packets == 0 {
		t.Errorf("the provider: %v, %+v; want it to be told that the gateway went", err, report)
	}
	w.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= count })
	after.terminate()
	if err := after.wait(); err != nil {
		t.Errorf("the second process: %v\n%s", err, strings.Join(after.stdlog, "\n"))
	}
	if s := w.Sim.Stats(); s.Accepted != count || s.Duplicates != 0 {
		t.Errorf("%d were accepted with %d duplicates, want %d and none; %+v", s.Accepted, s.Duplicates, count, report)
	}
}
