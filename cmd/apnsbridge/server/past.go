package server

import (
	"crypto/tls"
	"sync"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/bridge/histogram"
	"apnsbridge/cmd/apnsbridge/history"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/cmd/apnsbridge/page"
)

// past is the last hour and day as the page shows them.
type past struct {
	mu      sync.Mutex
	history *history.History
	peaks   map[string]int64 // by bound
	ended   chan struct{}
	ending  sync.Once
}

// refreshEvery is how often an open page is refreshed. The figures are read once in each step
// of the history, and whenever a page is drawn.
const refreshEvery = 2 * time.Second

func newPast() *past {
	return &past{history: history.New(), peaks: make(map[string]int64), ended: make(chan struct{})}
}

// watch reads the figures periodically until end is called.
func (p *past) watch(snapshot func() *metrics.Snapshot, now func() time.Time) {
	tick := time.NewTicker(history.FineStep)
	defer tick.Stop()
	for {
		p.add(now(), snapshot())
		select {
		case <-tick.C:
		case <-p.ended:
			return
		}
	}
}

func (p *past) end() { p.ending.Do(func() { close(p.ended) }) }

func (p *past) add(now time.Time, m *metrics.Snapshot) {
	t := totalsOf(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history.Add(now, t)
	for _, l := range m.Limits {
		p.peaks[l.Name] = max(p.peaks[l.Name], l.Used)
	}
}

func totalsOf(m *metrics.Snapshot) *history.Totals {
	t := &history.Totals{Apps: make(map[string]*history.AppTotals)}
	oldestAt := int64(0)
	for name, app := range m.Bridge.Apps {
		failed := app.BadTokens + app.BadTokensCached + app.Refused + app.Malformed + app.Unknown
		lost := app.Expired + app.Dropped + app.Crowded + app.Unreadable + app.Abandoned
		t.Outcomes[history.Accepted] += app.Accepted
		t.Outcomes[history.BadToken] += app.BadTokens + app.BadTokensCached
		t.Outcomes[history.Gone] += app.Unregistered
		t.Outcomes[history.Refused] += app.Refused + app.Malformed + app.Unknown
		t.Outcomes[history.GivenUp] += lost
		t.Waiting += app.Waiting.Notifications
		if at := app.Waiting.Oldest; at != 0 && (oldestAt == 0 || at < oldestAt) {
			oldestAt, t.Oldest = at, oldest(m.Bridge.Now, app.Waiting)
		}
		for _, lane := range [...]*bridge.LaneStats{&app.Lanes.Production, &app.Lanes.Sandbox} {
			if lane.Times != nil {
				t.Verdict.Add(&lane.Times.Verdict)
			}
		}
		if app.Taken > 0 || app.Waiting.Notifications > 0 {
			t.Apps[name] = &history.AppTotals{Accepted: app.Accepted, Failed: failed + lost}
		}
	}
	for version, at := range map[uint16]int{tls.VersionTLS10: history.TLS10, tls.VersionTLS11: history.TLS11,
		tls.VersionTLS12: history.TLS12, tls.VersionTLS13: history.TLS13, 0: history.Plain} {
		t.TLS[at] = m.Push.Open[version]
	}
	return t
}

// verdictTimes returns an app's times to the verdict, of both environments.
func verdictTimes(st *bridge.AppStats) (all histogram.Histogram) {
	for _, lane := range [...]*bridge.LaneStats{&st.Lanes.Production, &st.Lanes.Sandbox} {
		if lane.Times != nil {
			all.Add(&lane.Times.Verdict)
		}
	}
	return all
}

func (p *past) plotted(now time.Time) (hour, day []history.Point) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.history.Hour(now), p.history.Day(now)
}

func (p *past) app(name string, now time.Time) []history.AppPoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.history.App(name, now)
}

// limits adds to each bound the most of it that was used.
func (p *past) limits(all []metrics.Limit) (with []page.Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range all {
		with = append(with, page.Limit{Name: l.Name, Used: l.Used, Peak: max(p.peaks[l.Name], l.Used), Max: l.Max})
	}
	return with
}
