package bridge

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// pushMany pushes count notifications to different devices, numbered from from on.
func pushMany(t *testing.T, s *Session, p *recorder, from, count int) {
	t.Helper()
	for i := range count {
		p.push(t, s, note(deviceToken(goodDevice, from+i), uint32(i), hello))
	}
}

// Whatever happens on the wire, everything arrives once, as long as APNs tells what it has not
// processed.
func TestTroubleOnTheWireLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		scenario apnssim.Scenario
	}{
		{"GOAWAY", apnssim.Scenario{GoAway: &apnssim.GoAway{After: 100, Mode: apnssim.Graceful, Times: 2}}},
		{"GOAWAY twice", apnssim.Scenario{GoAway: &apnssim.GoAway{After: 100, Mode: apnssim.Double, Pause: 5, Times: 2}}},
		{"REFUSED_STREAM", apnssim.Scenario{Resets: &apnssim.Resets{Probability: 0.02}}},
		{"RST_STREAM behind the answer", apnssim.Scenario{Resets: &apnssim.Resets{Probability: 0.2, When: apnssim.Finished}}},
		{"one stream at first", apnssim.Scenario{Throttle: &apnssim.Throttle{}, Reasons: []apnssim.Rule{{Probability: 0.02, Reason: apnssim.InternalServerError}}}},
		{"one stream for good", apnssim.Scenario{MaxConcurrentStreams: 1}},
		{"small windows", apnssim.Scenario{Windows: apnssim.Windows{Stream: 70_000, Return: 2}}},
		{"slow bodies", apnssim.Scenario{SlowBody: &apnssim.SlowBody{Bytes: 7, Pause: 1}, Reasons: []apnssim.Rule{{Probability: 0.02, Reason: apnssim.ServiceUnavailable}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, tt.scenario)
			b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{Streams: 50}})
			s, p := open(t, b, Origin{})
			const count = 500
			pushMany(t, s, p, 0, count)
			s.Shutdown(false)
			delivered(t, b)
			if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
				t.Errorf("told %v, closed %d; want one close", fails, closes)
			}
			if st := sim.Stats(); st.Accepted != count || st.Duplicates != 0 || st.OverLimit != 0 || st.Violations != 0 {
				t.Errorf("%d accepted, %d doubled, %d streams too many, %d violations; want %d, 0, 0, 0",
					st.Accepted, st.Duplicates, st.OverLimit, st.Violations, count)
			}
			if st := b.Stats().Apps["mail"]; st.Ambiguous != 0 || st.Dropped != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// If it cannot be known whether a push has arrived, it is repeated once with the same apns-id.
func TestNoAnswerIsAskedOnceMore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		scenario apnssim.Scenario
		timeout  time.Duration
	}{
		{"silence", apnssim.Scenario{BlackHole: &apnssim.BlackHole{After: 1, Times: 1, Accept: true}}, 500 * time.Millisecond},
		{"connection cut", apnssim.Scenario{Latency: apnssim.Latency{Fixed: 50},
			GoAway: &apnssim.GoAway{After: 2, Mode: apnssim.Cut, Times: 1}}, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inTime(t, tt.timeout, 10*tt.timeout, func(timeout time.Duration) error {
				sim := startSim(t, tt.scenario)
				b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Limits: Limits{RequestTimeout: timeout}})
				s, p := open(t, b, Origin{})
				pushMany(t, s, p, 0, 1)
				until(t, "the first has ended", func() bool { return b.Stats().Unsettled == 0 })
				if b.Stats().Apps["mail"].Ambiguous > 0 {
					return errors.New("no answer to the first")
				}
				pushMany(t, s, p, 1, 1)
				s.Shutdown(false)
				delivered(t, b)
				p.wait(t)
				ids := make(map[string]bool)
				for _, push := range sim.Received(1).Pushes {
					ids[push.APNSID] = true
				}
				st := b.Stats().Apps["mail"]
				if st.Ambiguous > 1 {
					return fmt.Errorf("%d attempts without an answer, want 1", st.Ambiguous)
				}
				if len(ids) != 1 || st.Ambiguous != 1 || st.Accepted != 2 {
					t.Errorf("apns-ids %v, %+v; want one id, 1 ambiguous, 2 accepted", ids, st)
				}
				return nil
			})
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		sim := startSim(t, apnssim.Scenario{Resets: &apnssim.Resets{When: apnssim.Lost}})
		b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
		s, p := open(t, b, Origin{})
		pushMany(t, s, p, 0, 1)
		s.Shutdown(false)
		delivered(t, b)
		if fails, _ := p.wait(t); len(fails) != 0 {
			t.Errorf("told %v, want silence", fails)
		}
		if st := b.Stats().Apps["mail"]; st.Dropped != 1 || len(sim.Received(0).Pushes) != 2 {
			t.Errorf("%d attempts, %+v; want 2, one given up", len(sim.Received(0).Pushes), st)
		}
	})
}

// Servers that are not APNs. The app's problem tells what each is, and everything is delivered once the endpoint is right.
func TestEndpointFaults(t *testing.T) {
	t.Parallel()
	server, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	http1 := httptest.NewUnstartedServer(http.NotFoundHandler())
	http1.TLS = &tls.Config{Certificates: []tls.Certificate{server}}
	http1.Config.ErrorLog = log.New(io.Discard, "", 0)
	http1.StartTLS()
	t.Cleanup(http1.Close)
	sim := startSim(t, apnssim.Scenario{})
	tests := []struct {
		name string
		set  func(*App)
		want string
	}{
		{"HTTP/1", func(a *App) { a.Endpoint = http1.URL }, "does not speak HTTP/2"},
		{"no listener", func(a *App) { a.Endpoint = "https://127.0.0.1:1" }, "refused"},
		{"not our CA", func(a *App) { a.EndpointCA = x509.NewCertPool() }, "certificate"},
		{"a proxy that refuses", func(a *App) { a.Proxy = startProxy(t, false, nil) }, "403"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			good := mailApp(t, sim)
			bad := good
			tt.set(&bad)
			b := startBridge(t, Config{Apps: []App{bad}})
			s, p := open(t, b, Origin{})
			pushMany(t, s, p, i*10, 3)
			until(t, "the problem is known", func() bool { return strings.Contains(b.Problems()["mail"], tt.want) })
			if err := b.Reload([]App{good}); err != nil {
				t.Fatal(err)
			}
			s.Shutdown(false)
			delivered(t, b)
			p.wait(t)
			if got := b.Problems(); len(got) != 0 {
				t.Errorf("problems %v stay", got)
			}
			if got := b.Stats().Apps["mail"].Accepted; got != 3 {
				t.Errorf("%d accepted, want 3", got)
			}
		})
	}
}

// until waits for a condition that nothing signals.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	busy := 4 * patience
	if *long { // a million, with the race detector
		busy = 40 * patience
	}
	late := time.After(busy)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not seen: %s", what)
		}
	}
}

// startProxy is a proxy that knows nothing but CONNECT.
func startProxy(t *testing.T, allow bool, connects *atomic.Int32) *url.URL {
	t.Helper()
	return startProxyTo(t, "", allow, connects)
}

// startProxyTo is startProxy, but connects to one address whatever is asked for; "" is the
// address that is asked for.
func startProxyTo(t *testing.T, address string, allow bool, connects *atomic.Int32) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if !allow || req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwYXNz" {
					fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
					return
				}
				connects.Add(1)
				to, err := net.Dial("tcp", cmp.Or(address, req.Host))
				if err != nil {
					return
				}
				defer to.Close()
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n\r\n")
				wg.Go(func() {
					io.Copy(to, conn)
					to.Close()
				})
				io.Copy(conn, to)
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) && err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return &url.URL{Scheme: "http", Host: listener.Addr().String(), User: url.UserPassword("user", "pass")}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	var connects atomic.Int32
	app := mailApp(t, sim)
	app.Proxy = startProxy(t, true, &connects)
	b := startBridge(t, Config{Apps: []App{app}})
	s, p := open(t, b, Origin{})
	pushMany(t, s, p, 0, 20)
	s.Shutdown(false)
	p.wait(t)
	if got := sim.Stats().Accepted; got != 20 || connects.Load() == 0 {
		t.Errorf("%d accepted over %d CONNECTs, want 20 over at least one", got, connects.Load())
	}
}
