package upstream

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
)

// rig is an Upstream whose verdicts come back to the test.
type rig struct {
	*Upstream
	t    *testing.T
	said lockedBuffer // the log
	once bool         // nothing is sent again

	mu       sync.Mutex
	verdicts map[Class]int
	troubles []Verdict
	last     Verdict
	reasons  map[string]int
	left     int
	done     chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newRig(t *testing.T, sim *apnssim.Simulator, limits Limits) *rig {
	return openRig(t, Config{Endpoint: endpoint(sim), Credential: tokenCredential(t), Limits: limits})
}

// openRig opens an Upstream with the configuration c. It is closed at the end of the test.
func openRig(t *testing.T, c Config) *rig {
	g := &rig{t: t, verdicts: make(map[Class]int), reasons: make(map[string]int), done: make(chan struct{})}
	c.App = "mail"
	c.Limits.DialInterval = cmp.Or(c.Limits.DialInterval, 50*time.Millisecond)
	c.Log = zerolog.New(&g.said)
	c.Begin, c.Answered = begin, g.take
	c.Trouble = func(v Verdict) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.troubles = append(g.troubles, v)
	}
	g.Upstream = Open(context.Background(), c)
	t.Cleanup(g.Close)
	return g
}

// begin lets every push be sent.
func begin(p *Push, now time.Time) bool {
	p.Attempts++
	p.Sent = now
	return true
}

// take counts a verdict. What APNs has not processed or not answered it sends again, unless once is set.
func (g *rig) take(p *Push, v Verdict, _ time.Time) {
	g.mu.Lock()
	g.verdicts[v.Class]++
	g.last = v
	g.reasons[v.Reason]++
	again := !g.once && (v.Class == Unprocessed || v.Class == NoAnswer || v.Class == NoConnection)
	if !again {
		g.left--
	}
	over := g.left == 0
	g.mu.Unlock()
	switch {
	case g.ctx.Err() != nil:
	case again:
		g.Send(p)
	case over:
		close(g.done)
	}
}

// push sends count notifications to different devices, and waits for their
// verdicts.
func (g *rig) push(prefix []byte, count int, payload string) {
	g.t.Helper()
	all := make([]*Push, count)
	for i := range all {
		all[i] = note(deviceToken(prefix, i), payload)
	}
	g.send(all...)
}

// send sends pushes and waits for their verdicts.
func (g *rig) send(all ...*Push) {
	g.t.Helper()
	g.hand(all...)
	g.wait()
}

// hand sends pushes; wait waits for their verdicts.
func (g *rig) hand(all ...*Push) {
	g.mu.Lock()
	g.left, g.done = len(all), make(chan struct{})
	g.mu.Unlock()
	for _, p := range all {
		g.Send(p)
	}
}

// wait waits for the verdicts of what was handed.
func (g *rig) wait() {
	g.t.Helper()
	select {
	case <-g.done:
	case <-within(g.t).Done():
		g.t.Fatalf("no verdicts: %+v, verdicts %v", g.Stats(), g.counted())
	}
}

// note is an alert for a device.
func note(token []byte, payload string) *Push {
	return &Push{Token: token, Payload: []byte(payload), Request: Request{
		Topic: topic, PushType: "alert", Priority: 10, Expiration: NoExpiration, ID: NewUUID(),
	}}
}

// told returns the troubles that were reported, and forgets them.
func (g *rig) told() []Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() { g.troubles = nil }()
	return g.troubles
}

func (g *rig) peek() []Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.troubles)
}

func (g *rig) counted() map[Class]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.verdicts)
}

// takeOlderJWT makes the rig go on with the JWT of the half hour before: should APNs call it one
// too many, there is none to step back to.
func (g *rig) takeOlderJWT() {
	g.t.Helper()
	now := time.Now()
	value, err := g.bearer.current(now)
	if err != nil {
		g.t.Fatal(err)
	}
	g.bearer.stepBack(value, now)
	if value, err = g.bearer.current(now); err != nil || g.bearer.stepBack(value, now) {
		g.t.Fatal("there is still an older JWT: ", err)
	}
}
