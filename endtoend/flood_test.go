package endtoend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// Many connections flood the gateway with notifications for an app whose APNs takes
// them but does not answer. Memory stays bounded, as TCP blocks the senders, and another
// app on the same event loops goes on. When APNs answers again, everything that was
// written is delivered.
func TestFlood(t *testing.T) {
	connections, queued := 200, 16<<20
	switch {
	case *long:
		connections, queued = 1000, 64<<20
	case servertest.Raced:
		connections, queued = 50, 4<<20
	}
	lost := apnssim.Scenario{BlackHole: &apnssim.BlackHole{After: 1, Accept: true}} // connections, without a word
	late := apnssim.Scenario{Latency: apnssim.Latency{Fixed: 3_600_000}}            // answers, on connections that are well
	for _, tt := range []struct {
		name, spool string
		scenario    apnssim.Scenario
		ofSpool     float64 // bytes for each connection, besides its part of queued_bytes
		says        string
	}{
		{"off", "mode: off", late, 0, ""},
		{"overflow", "mode: overflow, max_bytes: 8MiB", lost, 64 * 1400, "the spool is full"},
		{"always", "mode: always, max_bytes: 8MiB", lost, 64 * 1400, "the spool is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newFloodWorld(t, tt.spool, fmt.Sprintf("queued_bytes: %d, apns_request_timeout: 2s", queued))
			idle := w.roundTrips(200)
			w.before = w.usage()
			if err := w.Sim.SetScenario(tt.scenario); err != nil {
				t.Fatal(err)
			}
			f := w.startFlooder(w.process.push, connections)
			var flooded []time.Duration
			servertest.WaitFor(t, "all senders come to a stand-still", func() bool {
				flooded = append(flooded, w.roundTrips(20)...)
				w.look()
				_, still := f.says()
				return still >= 40 // 2 s
			})
			t.Logf("the healthy app: %s; before: %s", percentiles(flooded), percentiles(idle))
			if len(flooded) < 200 {
				flooded = append(flooded, w.roundTrips(200-len(flooded))...)
			}
			// For each connection: what was read and not parsed, and a TLS record.
			const ofConnection, ofRest = 64<<10 + 16<<10, 8 << 20
			w.checkMemory("flooded", float64(queued)+float64(connections)*(ofConnection+tt.ofSpool)+ofRest)
			if got := w.Metric(t, `apnsbridge_provider_connections{state="parked"}`); int(got) != connections {
				t.Errorf("%v connections are not read, want %d\n%s", got, connections, w.figures())
			}
			servertest.WaitFor(t, "/readyz says what is wrong", func() bool {
				_, ready := w.Ask(t, http.MethodGet, "/readyz", nil)
				return strings.Contains(ready, "flood: APNs does not answer") && strings.Contains(ready, tt.says)
			})

			if err := w.Sim.SetScenario(apnssim.Scenario{}); err != nil {
				t.Fatal(err)
			}
			f.stop()
			servertest.WaitFor(t, "all senders come to their end", func() bool {
				w.look()
				return f.over()
			})
			w.deliver()
			w.checkMemory("afterwards", float64(queued)+float64(connections)*(ofConnection+tt.ofSpool)+ofRest)
			said, _ := f.says()
			if said.Packets > 0 {
				t.Errorf("%d error responses were read", said.Packets)
			}
			w.checkDelivered(1, said.Numbers)
			w.checkReturned()
			w.end()
		})
	}
}

// A provider does not read the error response to its first notification and goes on
// writing while APNs is away. It is never stopped, for then it would miss the response.
// What it writes goes to disk; without a spool only the provider bounds the memory needed.
func TestFloodBehindPacket(t *testing.T) {
	const (
		at     = 5000     // notifications at a time, so that the disk can keep up
		ahead  = 4 << 20  // bytes read from disk
		ledger = 16 << 20 // bytes to remember what stands behind the response
		one    = 700      // bytes of a notification in memory
	)
	count := 100_000
	if servertest.Raced {
		count = 10_000
	}
	for _, mode := range []string{"off", "overflow", "always"} {
		t.Run(mode, func(t *testing.T) {
			w := newFloodWorld(t, "mode: "+mode, "queued_bytes: 4MiB")
			idle := w.roundTrips(20)
			conn := w.process.dial(w.world)
			conn.SetWriteDeadline(time.Now().Add(2 * time.Minute))
			write := func(frames []byte) {
				t.Helper()
				if _, err := conn.Write(frames); err != nil {
					t.Fatal(err)
				}
			}
			frame := func(to []byte, i int) []byte {
				n := crowded(1*ofProvider + i)
				return n.Append(to)
			}
			write(servertest.Enhanced(servertest.Token("bad0", 1), 1))
			servertest.WaitFor(t, "the response is written", func() bool {
				return w.Metric(t, "apnsbridge_packets_written_total") == 1
			})
			if err := w.Sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}); err != nil {
				t.Fatal(err)
			}
			write(frame(nil, 0))
			servertest.WaitFor(t, "it is known that APNs is away", func() bool {
				return w.Sum(t, `apnsbridge_door_closed{app="flood"`) > 0
			})
			w.before = w.usage()
			var flooded []time.Duration
			queued := 0.0
			for n := 1; n < count; {
				var frames []byte
				for ; n < count && len(frames) < at*len(frame(nil, 0)); n++ {
					frames = frame(frames, n)
				}
				write(frames)
				flooded = append(flooded, w.roundTrips(5)...)
				servertest.WaitFor(t, "all is read, and on disk", func() bool {
					w.look()
					return w.Metric(t, `apnsbridge_notifications_taken_total{app="flood",environment="production"}`) == float64(n+1) &&
						w.Metric(t, `apnsbridge_notifications_unwritten{app="flood",environment="production"}`) == 0
				})
				queued = max(queued, w.Metric(t, `apnsbridge_limit_used{limit="queued_bytes"}`))
			}
			t.Logf("the healthy app: %s; before: %s", percentiles(flooded), percentiles(idle))
			inMemory := float64(ahead + at*one)
			if mode == "off" {
				inMemory = float64(count) * one
			}
			if queued > inMemory {
				t.Errorf("%.0f bytes are in memory, want %.0f at most\n%s", queued, inMemory, w.figures())
			}
			w.checkMemory("behind the response", inMemory+ledger+8<<20)
			if err := w.Sim.SetScenario(apnssim.Scenario{}); err != nil {
				t.Fatal(err)
			}
			w.deliver()
			w.checkDelivered(1, []int{count})
			if answer, err := conn.ReadResponse(); err != nil || answer != (binproto.Response{Status: binproto.InvalidToken,
				Identifier: 1}) {
				t.Errorf("the provider reads %v and error %v", answer, err)
			}
			conn.Close()
			w.end()
		})
	}
}
