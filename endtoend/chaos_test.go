package endtoend

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// mood is how APNs behaves for a while.
type mood struct {
	name     string
	scenario apnssim.Scenario
}

var (
	quick = apnssim.Latency{Fixed: 5, Jitter: 20}

	// fair is APNs at its best.
	fair = mood{"fair", apnssim.Scenario{Latency: quick}}

	// certain moods leave no doubt about any request: one without an answer was never
	// processed.
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
	number    atomic.Int64 // how many processes have ended
	resenders []*resender
	kills     []time.Time
	gaveUp    int // notifications that were given up, according to the logs

	began   time.Time
	taken   atomic.Int64
	stopped atomic.Bool // nothing more is taken
}

// newChaos starts nothing yet. silence is how long APNs may be silent before it is asked
// for a sign of life, and how long it then has to give one. The ledger is large enough for
// everything that four providers write at full speed after an outage and send again behind
// each packet: what does not fit would arrive twice, which is another test's subject.
func newChaos(t *testing.T, mode string, silence time.Duration) *chaos {
	settings := fmt.Sprintf("spool: {mode: %s}\nlimits: {ledger_bytes: 256MiB, ledger_bytes_per_client: 256MiB, drain: 60s, retry_delay: 20ms, retry_delay_max: 200ms, apns_dial_interval: 20ms, apns_ping_after: %v, apns_ping_timeout: %[2]v}", mode, silence)
	c := &chaos{killed: newKilled(t, settings)}
	const providers = 4
	for i := range providers {
		c.resenders = append(c.resenders, &resender{base: i * ofProvider})
	}
	return c
}

// run lets providers send while APNs has its moods, and then waits until every
// notification has ended. It returns the feedback list.
func (c *chaos) run(t *testing.T, moods []mood, kill bool) (listed map[string]bool) {
	t.Helper()
	decks := 1
	if *long {
		decks = 20
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
	servertest.WaitFor(t, "all providers write", func() bool { return allWrite(c.resenders) })
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
	rate := 3000.0
	if servertest.Raced {
		rate = 300
	}
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

// play takes APNs through moods in random order. In between the gateway is stopped, or
// if kill is set sometimes killed, and started again.
func (c *chaos) play(t *testing.T, moods []mood, kill bool) {
	t.Helper()
	deck := []func(){func() { c.process.stop(); c.restart(t) }}
	if kill {
		deck = append(deck, func() {
			c.kills = append(c.kills, time.Now())
			c.process.kill()
			c.restart(t)
		})
	}
	for _, m := range moods {
		deck = append(deck, func() { c.feel(t, m.scenario) })
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

// APNs changes its mood again and again, the gateway is stopped and killed, and providers
// go on: every notification ends, once.
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
			c := newChaos(t, tt.mode, 10*time.Second)
			listed := c.run(t, certain, tt.kill)
			c.checkResenders(t, c.resenders, listed, c.kills)
			if c.gaveUp > 0 {
				t.Errorf("%d were given up", c.gaveUp)
			}
		})
	}
}
