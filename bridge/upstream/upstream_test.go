package upstream

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
)

// APNs allows one stream at first, more after an accepted push, and one again
// after each that it refuses.
func TestUpstreamFollowsTheStreamLimit(t *testing.T) {
	t.Parallel()
	tests := []struct{ limit, pushes int }{{1000, 300}, {100, 1000}, {1, 100}}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("limit %d", tt.limit), func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{
				MaxConcurrentStreams: tt.limit,
				Throttle:             &apnssim.Throttle{},
				Latency:              apnssim.Latency{Fixed: 20},
				Reasons:              []apnssim.Rule{{Probability: 0.1, Reason: apnssim.BadDeviceToken, Latency: &apnssim.Latency{Fixed: 20}}},
			})
			const connections = 4
			g := newRig(t, sim, Limits{Connections: connections})
			g.push(goodDevice, tt.pushes, hello)
			got := g.counted()
			if refused := got[BadToken]; got[Accepted]+refused != tt.pushes || refused == 0 || got[NoAnswer] != 0 {
				t.Errorf("verdicts %v, want %d accepted or bad tokens, and some of the latter", got, tt.pushes)
			}
			st := sim.Stats()
			if st.OverLimit != 0 || st.Duplicates != 0 || st.Violations != 0 || st.PeakConnections > connections ||
				st.PeakStreams > tt.limit {
				t.Errorf("%+v", st)
			}
			if got[Unprocessed] != st.Refused {
				t.Errorf("%d unprocessed, but %d streams were refused because the limit fell", got[Unprocessed], st.Refused)
			}
		})
	}
}

// Ten connections end with GOAWAY in the middle of many pushes.
func TestUpstreamGoAway(t *testing.T) {
	count, seldom := 10_000, 500
	if *long {
		count, seldom = 100_000, 7_000
	}
	for _, mode := range []string{apnssim.Graceful, apnssim.Double, apnssim.Abrupt} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const times = 10
			sim := startSim(t, apnssim.Scenario{
				Latency: apnssim.Latency{Jitter: 4},
				GoAway:  &apnssim.GoAway{After: seldom, Mode: mode, Pause: 2, Times: times, Cause: apnssim.Shutdown},
			})
			g := newRig(t, sim, Limits{Connections: 2, Streams: 300})
			g.push(goodDevice, count, hello)
			got, st := g.counted(), sim.Stats()
			if st.Accepted != count || got[Accepted] != count || st.Duplicates != 0 || st.Violations != 0 {
				t.Errorf("%d accepted, %d of them reported, %d delivered twice, %d violations; want %d and no others",
					st.Accepted, got[Accepted], st.Duplicates, st.Violations, count)
			}
			pool := g.Stats()
			if pool.GoAways != times || pool.Lost != 0 || got[NoAnswer] != 0 || pool.Unsent != uint64(got[Unprocessed]) {
				t.Errorf("%+v, verdicts %v; want %d GOAWAY and nothing in doubt", pool, got, times)
			}
			// The first of two frames is a warning, after which we open no stream.
			if pool.Unsent == 0 && mode != apnssim.Double {
				t.Error("no push was above the last stream of a GOAWAY")
			}
			if logged := strings.Count(g.said.String(), `"reason":"Shutdown"`); logged != times {
				t.Errorf("the reason was logged %d times, want once for each connection", logged)
			}
		})
	}
}

// Where the window limits a connection, and not the number of streams, more connections are opened.
func TestUpstreamGrowsByBytes(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Windows: apnssim.Windows{Stream: 2500, Return: 20}})
	const count, connections = 800, 3
	g := newRig(t, sim, Limits{Connections: connections})
	payload := `{"aps":{"alert":"` + strings.Repeat("x", 4000) + `"}}`
	total := 0
	for sim.Stats().PeakConnections < connections && total < 50*count { // to open one may take longer than to push so many
		all := make([]*Push, count)
		for i := range all {
			all[i] = note(deviceToken(goodDevice, total+i), payload)
		}
		g.send(all...)
		total += count
	}
	st := sim.Stats()
	if st.Accepted != total || st.Duplicates != 0 || st.Violations != 0 {
		t.Errorf("%+v", st)
	}
	if st.PeakConnections != connections {
		t.Errorf("%d connections at once, want %d", st.PeakConnections, connections)
	}
	// One body may be half sent when the window is used up; the other pushes wait with us.
	if most := 65_535/len(payload) + 1; st.PeakStreams > 2*most {
		t.Errorf("%d streams at once, of which the window holds %d", st.PeakStreams, most)
	}
	for _, push := range sim.Received(0).Pushes {
		if string(push.Payload) != payload {
			t.Fatalf("a payload of %d bytes arrived as %d other bytes", len(payload), len(push.Payload))
		}
	}
}

// A connection is replaced because of its age while it is in use, and no push notices.
func TestUpstreamRotates(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Latency: apnssim.Latency{Jitter: 10}})
	g := newRig(t, sim, Limits{Streams: 10, ConnectionAge: 100 * time.Millisecond})
	g.push(goodDevice, 1000, hello)
	until(t, "idle connections are replaced too", func() bool {
		before := g.Stats().Rotations
		return before >= 3 && g.Stats().Dials > 3
	})
	got, st, pool := g.counted(), sim.Stats(), g.Stats()
	if st.Accepted != 1000 || len(got) != 1 || pool.GoAways+pool.Lost != 0 || strings.Contains(g.said.String(), "lost") {
		t.Errorf("%+v, verdicts %v, %+v", st, got, pool)
	}
}

// A push of which no valid request can be made is our fault, and is not sent.
func TestUpstreamHoldsWhatItCannotAsk(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	g := newRig(t, sim, Limits{})
	bad := note(deviceToken(goodDevice, 1), hello)
	bad.Request.Topic = "com.example\r\n"
	long := note(deviceToken(goodDevice, 2), hello)
	long.Request.Topic = strings.Repeat("x", 1<<20)
	g.send(bad, note(deviceToken(goodDevice, 3), hello), long)
	if got := g.counted(); got[TopicRefused] != 2 || got[Accepted] != 1 {
		t.Errorf("verdicts %v, want 2 refused and 1 accepted", got)
	}
}

// The sandbox gives each push an apns-unique-id, which is logged beside its apns-id and comes with
// the verdict.
func TestUniqueID(t *testing.T) {
	for _, environment := range []string{apnssim.Production, apnssim.Sandbox} {
		sim := startSim(t, apnssim.Scenario{Environment: environment})
		g := newRig(t, sim, Limits{})
		p := note(deviceToken(goodDevice, 1), hello)
		g.send(p)
		sandbox := environment == apnssim.Sandbox
		logged := strings.Contains(g.said.String(), `"apns_id":"`+p.Request.ID.String()+`","apns_unique_id":"`)
		if len(g.last.UniqueID) != 36 == sandbox || logged != sandbox {
			t.Errorf("%s: verdict %+v, log %s", environment, g.last, g.said.String())
		}
	}
}

// A push that is sent to a closed upstream is answered before Send returns, unless Begin takes
// care of it.
func TestSendWhenClosed(t *testing.T) {
	for _, goes := range []bool{true, false} {
		begun, verdicts := 0, []Verdict(nil)
		u := Open(context.Background(), Config{Endpoint: endpoint(startSim(t, apnssim.Scenario{})),
			Credential: tokenCredential(t), Log: zerolog.Nop(),
			Begin:    func(*Push, time.Time) bool { begun++; return goes },
			Answered: func(_ *Push, v Verdict, _ time.Time) { verdicts = append(verdicts, v) }})
		u.Close()
		u.Send(note(deviceToken(goodDevice, 1), hello))
		if begun != 1 || goes != (len(verdicts) == 1 && verdicts[0].Class == NoConnection) {
			t.Errorf("goes %v: begun %d times, %v", goes, begun, verdicts)
		}
		u.Close()
	}
}
