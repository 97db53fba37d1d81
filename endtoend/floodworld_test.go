package endtoend

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// floodConfig has two apps, each with an APNs of its own: one whose providers flood the
// gateway, and one that has nothing to do with that.
const floodConfig = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
spool: {%[1]s}
limits: {%[2]s}
apps:
  flood: {topic: com.example.flood, <<: %[3]s, clients: [{ca: ca.pem, uid: com.example.demo}]}
  well: {topic: com.example.well, <<: %[4]s, clients: [%[5]s]}
`

// floodWorld is a gateway with floodConfig, as a process of its own.
type floodWorld struct {
	*world  // with the APNs of flood
	well    *apnssim.Simulator
	speaker *tls.Config // the provider of well
	process *process
	conns   []*provider.Conn // of well
	sent    int              // to well
	before  usage
	peak    float64 // resident bytes, at most
}

// usage is what the gateway's process uses.
type usage struct {
	resident    float64 // bytes
	descriptors float64
	goroutines  float64
}

func newFloodWorld(t *testing.T, spool, limits string) *floodWorld {
	t.Helper()
	if !*long { // the long run's figures are for reading
		t.Parallel()
	}
	w := &floodWorld{world: newWorld(t, apnssim.Scenario{})}
	w.Stop()
	certificate, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if w.well, err = apnssim.Start(apnssim.Config{Certificate: certificate}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.well.Close() })
	var rule string
	rule, w.speaker = w.Pinned()
	w.Write("apnsbridge.yaml", fmt.Appendf(nil, floodConfig, spool, limits,
		fmt.Sprintf(servertest.App, w.Sim.URL()), fmt.Sprintf(servertest.App, w.well.URL()), rule))
	w.FixPorts()
	w.process = startProcess(t, w.world)
	for range 4 { // on all loops
		conn, err := provider.Dial(t.Context(), w.process.push, w.speaker)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		w.conns = append(w.conns, conn)
	}
	return w
}

func (w *floodWorld) usage() usage {
	w.T.Helper()
	return usage{
		resident:    w.Metric(w.T, "process_resident_memory_bytes"),
		descriptors: w.Metric(w.T, "process_open_fds"),
		goroutines:  w.Metric(w.T, "go_goroutines"),
	}
}

// roundTrips makes the provider of well send notifications one at a time, each after the one
// before it has arrived, and gives how long each took.
func (w *floodWorld) roundTrips(count int) (took []time.Duration) {
	w.T.Helper()
	for range count {
		n := binproto.Notification{
			Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("e1", w.sent)), Identifier: uint32(w.sent), HasIdentifier: true,
			Payload: fmt.Appendf(nil, `{"aps":{"badge":%d}}`, w.sent), Expiry: uint32(time.Now().Add(time.Hour).Unix()),
		}
		start := time.Now()
		if _, err := w.conns[w.sent%len(w.conns)].Write(n.Append(nil)); err != nil {
			w.T.Fatal(err)
		}
		w.sent++
		ctx, cancel := context.WithTimeout(w.T.Context(), servertest.Patience)
		err := w.well.Wait(ctx, func(s apnssim.Stats) bool { return s.Accepted >= w.sent })
		cancel()
		if err != nil {
			w.T.Fatalf("a notification of the healthy app does not arrive: %v\n%s\n%s", err, w.figures(), w.process.tail())
		}
		took = append(took, time.Since(start))
	}
	return took
}

// percentiles are the median, the 99th percentile and the maximum.
func percentiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(p int) time.Duration { return took[(len(took)-1)*p/100].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, at most %v", at(50), at(99), at(100))
}

// figures are the metrics that say how a flood is going.
func (w *floodWorld) figures() string {
	w.T.Helper()
	var lines strings.Builder
	for line := range strings.Lines(w.Metrics()) {
		for _, of := range []string{
			"apnsbridge_provider_connections", "apnsbridge_unparsed_bytes ", "apnsbridge_frames_total ", "apnsbridge_limit_used",
			"apnsbridge_notifications_", "apnsbridge_apns_", "apnsbridge_spool_",
			"process_resident_memory_bytes ", "process_open_fds ", "go_goroutines ", "go_memstats_heap_inuse_bytes ",
		} {
			if strings.HasPrefix(line, of) && !strings.HasSuffix(line, " 0\n") && !strings.Contains(line, `app="well"`) {
				lines.WriteString(line)
			}
		}
	}
	return lines.String()
}

// look notes how much memory the gateway uses.
func (w *floodWorld) look() { w.peak = max(w.peak, w.usage().resident) }

// deliver waits until the gateway has nothing left to deliver.
func (w *floodWorld) deliver() {
	w.T.Helper()
	servertest.WaitFor(w.T, "all is delivered", func() bool {
		w.look()
		return w.Sum(w.T, "apnsbridge_notifications_unsettled")+w.Sum(w.T, `apnsbridge_notifications_waiting{app="flood"`) == 0
	})
}

// checkMemory checks that the process never used more than the sum of what it used before,
// the spool's file, which it maps, and twice the bytes counted: Go lets the heap double
// before it collects garbage.
func (w *floodWorld) checkMemory(what string, counted float64) {
	w.T.Helper()
	bound := w.before.resident + 2*counted + w.Metric(w.T, "apnsbridge_spool_bytes")
	w.T.Logf("%s: %.1f MB resident, %.1f MB before, bound %.1f MB", what, w.peak/1e6, w.before.resident/1e6, bound/1e6)
	if w.peak > bound && !servertest.Raced {
		w.T.Errorf("%s: %.1f MB are resident, want %.1f MB at most\n%s", what, w.peak/1e6, bound/1e6, w.figures())
	}
}

// checkDelivered checks that the notifications of each provider, as many as numbers says, were
// accepted in order for each device, and twice only where attempts without an answer explain
// that.
func (w *floodWorld) checkDelivered(first int, numbers []int) {
	w.T.Helper()
	arrivals := w.arrivals(w.T)
	total, lost := 0, 0
	for i, count := range numbers {
		total += count
		for n := range count {
			if len(arrivals[(first+i)*ofProvider+n]) == 0 {
				if lost++; lost <= 3 {
					w.T.Errorf("number %d of %d of owner %d is lost", n, count, first+i)
				}
			}
		}
	}
	doubled, ambiguous := w.Sim.Stats().Duplicates, w.Sum(w.T, `apnsbridge_notifications_ambiguous_total{app="flood"`)
	w.T.Logf("%d written, %d accepted again of %v attempts without an answer", total, doubled, ambiguous)
	if lost > 0 || len(arrivals) != total {
		w.T.Errorf("%d of %d are lost, and %d that nobody wrote were accepted", lost, total, len(arrivals)-total+lost)
	}
	if float64(doubled) > ambiguous {
		w.T.Errorf("%d were accepted again, with %v attempts repeated without an answer", doubled, ambiguous)
	}
	checkOrder(w.T, w.world)
}

// end lets the gateway drain, which has nothing to wait for.
func (w *floodWorld) end() {
	for _, conn := range w.conns {
		conn.Close()
	}
	w.process.stop()
}

// checkReturned checks that descriptors and goroutines are back to what they were, apart from
// the connections to APNs.
func (w *floodWorld) checkReturned() {
	w.T.Helper()
	const ofConnection, other = 4, 4 // goroutines of a connection, and those that happen to run
	servertest.WaitFor(w.T, "descriptors and goroutines return", func() bool {
		now, pool := w.usage(), w.Metric(w.T, `apnsbridge_apns_connections{app="flood",environment="production",state="in_use"}`)
		return now.descriptors <= w.before.descriptors+pool+other && now.goroutines <= w.before.goroutines+ofConnection*pool+other
	})
}
