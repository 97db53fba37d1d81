// Package history remembers what the gateway's figures were during the last hour and
// the last day, in rings of a size that is known beforehand. It has no lock, no clock
// and does no I/O.
package history

import (
	"time"

	"apnsbridge/bridge/histogram"
)

// The rings' steps and lengths.
const (
	FineStep   = 10 * time.Second
	CoarseStep = 4 * time.Minute
	points     = 360 // an hour, and a day

	AppStep   = time.Minute
	appPoints = 60
)

// Totals are figures since the start, and how things stand now.
type Totals struct {
	Outcomes [Outcomes]uint64
	Verdict  histogram.Histogram // from taken to APNs' verdict
	Waiting  int
	Oldest   time.Duration         // the age of the oldest of them
	TLS      [TLSVersions]int      // connections open
	Apps     map[string]*AppTotals // those that have had something to do
}

// AppTotals are an app's.
type AppTotals struct{ Accepted, Failed uint64 }

// Outcomes of a notification, as the plots have them.
const (
	Accepted = iota
	BadToken
	Gone
	Refused
	GivenUp // or expired
	Outcomes
)

// The versions of TLS, oldest first.
const (
	TLS10 = iota
	TLS11
	TLS12
	TLS13
	Plain
	TLSVersions
)

// Point is a step of the gateway's past.
type Point struct {
	Outcomes [Outcomes]uint32 // that came to pass within it
	P50, P99 time.Duration    // from taken to verdict; 0: there was none
	Waiting  int32            // at its end
	Oldest   time.Duration
	TLS      [TLSVersions]int32
}

// AppPoint is a step of an app's past.
type AppPoint struct{ Accepted, Failed uint32 }

// History is the past of a gateway. The zero value is not ready; use New.
type History struct {
	fine, coarse *gatewayRing
	apps         map[string]*appRing
}

// New begins without a past.
func New() *History {
	return &History{fine: newGatewayRing(FineStep), coarse: newGatewayRing(CoarseStep), apps: make(map[string]*appRing)}
}

// Add takes how things stand at a time, which does not go back. Apps that are not among
// t's are forgotten.
func (h *History) Add(at time.Time, t *Totals) {
	h.fine.add(at, t)
	h.coarse.add(at, t)
	for name, totals := range t.Apps {
		r := h.apps[name]
		if r == nil {
			r = &appRing{ring: newRing[AppPoint](AppStep, appPoints), latest: *totals}
			h.apps[name] = r
		}
		r.add(at, totals)
	}
	for name := range h.apps {
		if t.Apps[name] == nil {
			delete(h.apps, name)
		}
	}
}

// Hour returns the last hour in steps of FineStep, oldest first.
func (h *History) Hour(now time.Time) []Point { return h.fine.last(now) }

// Day returns the last day in steps of CoarseStep, oldest first.
func (h *History) Day(now time.Time) []Point { return h.coarse.last(now) }

// App returns the last hour of an app in steps of AppStep, oldest first; nil if it has
// had nothing to do.
func (h *History) App(name string, now time.Time) []AppPoint {
	if r := h.apps[name]; r != nil {
		return r.last(now)
	}
	return nil
}

// counted is what has only ever grown, as far as it is needed.
type counted struct {
	outcomes [Outcomes]uint64
	verdict  histogram.Histogram
}

// gatewayRing counts from what stood when its present step began.
type gatewayRing struct {
	*ring[Point]
	begun          bool
	before, latest counted
}

func newGatewayRing(step time.Duration) *gatewayRing {
	return &gatewayRing{ring: newRing[Point](step, points)}
}

func (r *gatewayRing) add(at time.Time, t *Totals) {
	now := counted{t.Outcomes, t.Verdict}
	if !r.begun {
		r.latest, r.begun = now, true
	}
	p, fresh := r.at(at)
	if fresh {
		r.before = r.latest
	}
	r.latest = now
	for i, n := range now.outcomes {
		p.Outcomes[i] = since(n, r.before.outcomes[i])
	}
	verdicts := now.verdict.Since(&r.before.verdict)
	p.P50, p.P99 = verdicts.Quantile(0.5), verdicts.Quantile(0.99)
	p.Waiting, p.Oldest = int32(t.Waiting), t.Oldest
	for i, n := range t.TLS {
		p.TLS[i] = int32(n)
	}
}

// appRing does the same for an app.
type appRing struct {
	*ring[AppPoint]
	before, latest AppTotals
}

func (r *appRing) add(at time.Time, t *AppTotals) {
	p, fresh := r.at(at)
	if fresh {
		r.before = r.latest
	}
	r.latest = *t
	p.Accepted, p.Failed = since(t.Accepted, r.before.Accepted), since(t.Failed, r.before.Failed)
}

// since is how much a counter has grown; all of it, if it began anew.
func since(now, before uint64) uint32 {
	if now < before {
		return uint32(now)
	}
	return uint32(now - before)
}
