package bridge

import (
	"bytes"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
)

// poolRig is a pool whose verdicts come back to the test.
type poolRig struct {
	*pool
	t       *testing.T
	session *Session
	said    lockedBuffer // the log

	mu       sync.Mutex
	verdicts map[class]int
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

func newPoolRig(t *testing.T, sim *apnssim.Simulator, limits Limits) *poolRig {
	conf := mailApp(t, sim)
	b := startBridge(t, Config{Apps: []App{conf}, Limits: limits})
	s, _ := open(t, b, Origin{})
	g := &poolRig{t: t, session: s, verdicts: make(map[class]int), done: make(chan struct{})}
	g.pool = newPool(b, conf, Production, conf.Credential.bearer(b.now), g.take)
	g.log = zerolog.New(&g.said)
	t.Cleanup(g.Close)
	return g
}

// take sends again what APNs has not looked at, and what nobody answered.
func (g *poolRig) take(r *record, v verdict) {
	g.mu.Lock()
	g.verdicts[v.class]++
	again := v.class == unsent || v.class == ambiguous || v.class == unreachable
	if !again {
		g.left--
	}
	over := g.left == 0
	g.mu.Unlock()
	switch {
	case g.ctx.Err() != nil:
	case again:
		g.Send(r)
	case over:
		close(g.done)
	}
}

// push sends count notifications to different devices, and waits for their
// verdicts.
func (g *poolRig) push(prefix []byte, count int, payload string) {
	g.t.Helper()
	g.mu.Lock()
	g.left = count
	g.mu.Unlock()
	for i := range count {
		g.Send(g.record(deviceToken(prefix, i), payload))
	}
	select {
	case <-g.done:
	case <-within(g.t).Done():
		g.t.Fatalf("no verdicts: %+v, verdicts %v", g.stats(), g.counted())
	}
}

func (g *poolRig) record(token []byte, payload string) *record {
	n := note(token, 0, payload)
	r := newRecord(g.session, n)
	g.session.address(r, n, g.session.bridge.now())
	return r
}

func (g *poolRig) counted() map[class]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[class]int)
	for c, n := range g.verdicts {
		all[c] = n
	}
	return all
}
