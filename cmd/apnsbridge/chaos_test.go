package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// mood is how APNs may be for a while.
type mood struct {
	name     string
	scenario apnssim.Scenario
}

var (
	quick = apnssim.Latency{Fixed: 5, Jitter: 20}

	// fair is APNs at its best.
	fair = mood{"fair", apnssim.Scenario{Latency: quick}}

	// certain moods leave no doubt about any request: what has no answer was not
	// looked at.
	certain = []mood{
		fair,
		{"outage", apnssim.Scenario{Latency: quick, Outage: &apnssim.Outage{}}},
		{"half an outage", apnssim.Scenario{Latency: quick, Outage: &apnssim.Outage{Probability: 0.5, Reason: apnssim.InternalServerError}}},
		{"GOAWAY, graceful", apnssim.Scenario{Latency: quick, GoAway: &apnssim.GoAway{After: 100}}},
		{"GOAWAY, abrupt", apnssim.Scenario{Latency: quick, GoAway: &apnssim.GoAway{After: 70, Mode: apnssim.Abrupt}}},
		{"GOAWAY, double", apnssim.Scenario{Latency: quick, GoAway: &apnssim.GoAway{After: 100, Mode: apnssim.Double, Pause: 10}}},
		{"REFUSED_STREAM", apnssim.Scenario{Latency: quick, Resets: &apnssim.Resets{Probability: 0.3}}},
		{"slow", apnssim.Scenario{Latency: apnssim.Latency{Fixed: 300, Jitter: 300}}},
		{"one stream", apnssim.Scenario{Latency: quick, MaxConcurrentStreams: 1}},
		{"throttled", apnssim.Scenario{Latency: quick, Throttle: &apnssim.Throttle{}}},
	}

	// doubtful moods lose answers.
	doubtful = []mood{
		{"gone", apnssim.Scenario{Latency: quick, Outage: &apnssim.Outage{Refuse: true}}},
		{"cut", apnssim.Scenario{Latency: quick, GoAway: &apnssim.GoAway{After: 200, Mode: apnssim.Cut, Times: 5}}},
		{"answers lost", apnssim.Scenario{Latency: quick, Resets: &apnssim.Resets{Probability: 0.02, When: apnssim.Lost}}},
		{"silent", apnssim.Scenario{Latency: quick, BlackHole: &apnssim.BlackHole{After: 100, Times: 3}}},
	}
)

// chaos is a gateway between an APNs of many moods and providers that go on
// whatever happens.
type chaos struct {
	*killed
	process   *process
	number    atomic.Int64 // of processes that have ended
	resenders []*resender
	kills     []time.Time
	diary     []string
	gaveUp    int // notifications that were given up, as the logs say

	began   time.Time
	taken   atomic.Int64
	stopped atomic.Bool // nothing more is taken
}

const ofChaos = `spool: {mode: %s}
limits:
  drain: 60s
  retry_delay: 20ms
  retry_delay_max: 200ms
  apns_dial_interval: 20ms
  apns_ping_after: 300ms
  apns_ping_timeout: 300ms`

func newChaos(t *testing.T, mode string) *chaos {
	c := &chaos{killed: newKilled(t, fmt.Sprintf(ofChaos, mode))}
	const providers = 4
	for i := range providers {
		c.resenders = append(c.resenders, &resender{base: i * ofProvider})
	}
	return c
}

// run lets providers send while APNs has its moods, and then until everything has
// come to its end. It returns the feedback list.
func (c *chaos) run(t *testing.T, moods []mood, kill bool) (listed map[string]bool) {
	t.Helper()
	decks := 1
	if *long {
		decks = 40
	}
	c.process, c.began = startProcess(t, c.world), time.Now()
	var sending sync.WaitGroup
	for _, r := range c.resenders {
		sending.Go(func() {
			if err := r.send(t.Context(), c.world, c.more); err != nil {
				t.Errorf("a provider: %v", err)
			}
		})
	}
	waitFor(t, "all providers write", func() bool { return allWrite(c.resenders) })
	for range decks {
		c.play(t, moods, kill)
	}
	c.feel(t, fair.scenario)
	c.stopped.Store(true)
	sending.Wait()
	c.deliver(t)
	listed = c.listed(t)
	c.drain(t, c.process)
	c.readLog()
	return listed
}

// more lets providers take a few thousand notifications a second, whatever
// becomes of them.
func (c *chaos) more(int) bool {
	const rate = 3000
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	number := c.taken.Add(1)
	for !c.stopped.Load() {
		if time.Since(c.began).Seconds()*rate >= float64(number) {
			return true
		}
		<-tick.C
	}
	return false
}

// play has APNs go through its moods in any order. In between the gateway is
// stopped, and if kill is set killed, and started again.
func (c *chaos) play(t *testing.T, moods []mood, kill bool) {
	t.Helper()
	deck := []func(){func() {
		c.diary = append(c.diary, fmt.Sprintf("%v seq %d SIGTERM", time.Since(c.began), c.sim.Stats().Received))
		c.process.stop()
		c.diary = append(c.diary, fmt.Sprintf("%v seq %d stopped", time.Since(c.began), c.sim.Stats().Received))
		c.restart(t)
		c.diary = append(c.diary, fmt.Sprintf("%v seq %d started; spool had %d", time.Since(c.began), c.sim.Stats().Received, len(c.ends[len(c.ends)-1].committed)))
	}}
	if kill {
		deck = append(deck, func() {
			c.kills = append(c.kills, time.Now())
			c.process.kill()
			c.restart(t)
		})
	}
	for _, m := range moods {
		deck = append(deck, func() {
			c.diary = append(c.diary, fmt.Sprintf("%v seq %d %s", time.Since(c.began), c.sim.Stats().Received, m.name))
			c.feel(t, m.scenario)
		})
	}
	c.r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	for _, happen := range deck {
		happen()
		<-time.After(between(c.r, 50*time.Millisecond, 400*time.Millisecond))
	}
}

// restart starts a process after the one that has ended.
func (c *chaos) restart(t *testing.T) {
	t.Helper()
	c.number.Add(1)
	c.ends = append(c.ends, c.ended(t, c.process))
	c.readLog()
	c.process = startProcess(t, c.world)
}

// readLog counts what the process that has ended gave up.
func (c *chaos) readLog() {
	for _, line := range c.process.stdlog {
		if strings.Contains(line, `"message":"given up"`) {
			c.gaveUp++
		}
	}
}

// APNs changes its mind again and again, the gateway is stopped and killed, and
// providers go on: everything comes to its end, once.
func TestChaos(t *testing.T) {
	for _, tt := range []struct {
		name, mode string
		kill       bool
	}{
		{"overflow", "overflow", false},
		{"always, stopped", "always", false},
		{"always, killed", "always", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newChaos(t, tt.mode)
			listed := c.run(t, certain, tt.kill)
			c.checkResenders(t, c.resenders, listed, c.kills)
			c.diag(t)
			if c.gaveUp > 0 {
				t.Errorf("%d were given up", c.gaveUp)
			}
		})
	}
}

func (c *chaos) diag(t *testing.T) {
	if !t.Failed() {
		return
	}
	latest := make(map[string]apnssim.Push)
	seen := make(map[int]bool)
	wrong := 0
	first := 0
	for _, p := range c.sim.Received(0).Pushes {
		if p.Status != 200 {
			continue
		}
		n := crowdNumber(t, p.Payload)
		l, ok := latest[p.Token]
		if ok && n < crowdNumber(t, l.Payload) && !seen[n] {
			wrong++
			if first == 0 {
				first = p.Seq
			}
			if wrong < 600 {
				t.Logf("DIAG %d seq %d conn %d after %d seq %d conn %d", n, p.Seq, p.Connection, crowdNumber(t, l.Payload), l.Seq, l.Connection)
			}
			if wrong == 1 {
				r := c.resenders[n/ofProvider]
				t.Logf("DIAG times %d, %d", r.times[n%ofProvider], r.times[crowdNumber(t, l.Payload)%ofProvider])
				for i, pk := range r.packets {
					if pk.Index > n%ofProvider-4000 && pk.Index < n%ofProvider+4000 {
						t.Logf("DIAG packet %+v at %v", pk.Response, r.heard[i].Sub(c.began))
					}
				}
				for _, u := range r.unsure {
					t.Logf("DIAG unsure %+v", u)
				}
			}
		}
		seen[n] = true
		if !ok || n > crowdNumber(t, l.Payload) {
			latest[p.Token] = p
		}
	}
	for i, d := range c.diary {
		var at, seq int
		_ = at
		fmt.Sscanf(d[strings.Index(d, "seq "):], "seq %d", &seq)
		if seq > first-8000 && seq < first+4000 {
			t.Log("DIARY", i, d)
		}
	}
}
