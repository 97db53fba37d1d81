package bridge

import (
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/upstream"
)

// gate is the way of one app's notifications into one environment of APNs: its
// breaker with what waits for it, for all goroutines. While all is well a
// notification costs three loads of an atomic.
//
// A record that it keeps is its own, until it gives it out: another goroutine
// may have sent it on before the method has returned.
type gate struct {
	troubled atomic.Bool // the breaker has something to say

	mu      sync.Mutex
	breaker breaker
	held    heldRecords
	probes  uint64
}

// publish lets those see the state of the breaker that do not take the lock.
// g.mu is held.
func (g *gate) publish() { g.troubled.Store(g.breaker.open() || g.breaker.failures > 0) }

// keeps says whether r, which was about to go, has to wait.
func (g *gate) keeps(r *record) bool {
	if r.admitted || !g.troubled.Load() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.breaker.open() {
		return false
	}
	g.held.add(r)
	return true
}

// failed takes a failure of r of class c, which impedes. It says whether r is to
// wait with the others, and if keep is set keeps it; if not, it is to wait for
// itself.
func (g *gate) failed(r *record, c upstream.Class, now time.Time, keep bool) (others bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.failed(c, r.Sent, now)
	g.publish()
	if !g.breaker.open() {
		return false
	}
	if keep {
		r.plan.failures = 0
		g.held.add(r)
	}
	return true
}

// open says whether those that have not waited yet have to.
func (g *gate) open() bool {
	if !g.troubled.Load() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.open()
}

// answered takes an answer of class c, which does not impede, to a push sent at
// sent. What it lets go is to be sent, in its order.
func (g *gate) answered(c upstream.Class, sent time.Time, clock func() time.Time) (released []*record) {
	if !g.troubled.Load() {
		return nil // as it is most of the time
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := clock()
	if n := g.breaker.answered(c, sent, now); n > 0 {
		released = admit(g.held.release(n))
		if g.held.len() == 0 {
			g.breaker.emptied(now)
		}
	}
	g.publish()
	return released
}

// admit lets records through that were held.
func admit(list []*record) []*record {
	for _, r := range list {
		r.admitted = true
	}
	return list
}

// take gives the record that is to be sent as a probe, if one is due, and those
// that have expired while they waited. It may be asked often.
func (g *gate) take(now time.Time) (probe *record, expired []*record) {
	if !g.troubled.Load() {
		return nil, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	expired = g.held.takeExpired(now)
	if g.held.len() > 0 && g.breaker.due(now) {
		g.breaker.probed(now)
		g.probes++
		probe = g.held.takeProbe()
		probe.admitted = true
	}
	return probe, expired
}

// wasted says that APNs was not asked about one that was let through: another
// takes its place.
func (g *gate) wasted(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.wasted(now)
}

// renewed says that the app has another credential or another way to APNs. A
// probe is due at once.
func (g *gate) renewed(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.renewed(now)
	g.publish()
}

// takeAll takes out what waits.
func (g *gate) takeAll() []*record {
	if !g.troubled.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held.releaseAll()
}

// moved says that the app goes to other environments. What waited is to be sent.
func (g *gate) moved(now time.Time) []*record {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.emptied(now)
	g.publish()
	return g.held.releaseAll()
}

// BreakerStats is the state of an app's ways to APNs.
type BreakerStats struct{ Production, Sandbox GateStats }

// GateStats is the state of a way into one environment.
type GateStats struct {
	OpenSince int64  // the second since 1970 from which on notifications wait, but for probes; 0: they do not
	Waiting   int    // notifications
	Probes    uint64 // sent to find out whether APNs serves again
}

func (g *gate) stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := GateStats{Waiting: g.held.len(), Probes: g.probes}
	if g.breaker.open() {
		st.OpenSince = g.breaker.opened.Unix()
	}
	return st
}
