package server

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/failures"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/cmd/apnsbridge/page"
)

// facts describes the state of the gateway for its page.
func (s *Service) facts(stopping bool) *page.Facts {
	return s.factsBy(s.current.Load(), s.snapshot(), stopping)
}

// factsBy is facts by a snapshot.
func (s *Service) factsBy(a *Assembly, m *metrics.Snapshot, stopping bool) *page.Facts {
	condition := s.conditionBy(m, stopping)
	f := &page.Facts{Ready: condition.ready, State: condition.state, Version: s.version, Now: a.now().UTC(),
		Loaded: time.Unix(m.Reloads.Loaded, 0).UTC(), Remarks: s.remarks(a, condition), Whole: s.whole(a, m)}
	switch {
	case condition.ready:
		f.State = "ready"
	case condition.state == "":
		f.State = "APNs serves no app"
	}
	refusals := s.bridge.Refusals()
	for _, app := range a.apps {
		row := s.row(a, app, m)
		row.Refusal = refusals[app.Name]
		f.Apps = append(f.Apps, row)
	}
	f.Refused = s.refused.list()
	s.past.add(f.Now, m) // so that the plots include this moment
	f.Limits = s.past.limits(m.Limits)
	f.Remarks = append(f.Remarks, nearlyUsed(f.Limits)...)
	f.Hour, f.Day = s.past.plotted(f.Now)
	return f
}

// whole returns the most important figures of the gateway as a whole.
func (s *Service) whole(a *Assembly, m *metrics.Snapshot) []page.Figure {
	limits, spool := a.config.Limits, m.Store.Spool
	waiting := 0
	for _, app := range m.Bridge.Apps {
		waiting += app.Waiting.Notifications
	}
	count := func(name string, n, of int) page.Figure {
		return page.Figure{Name: name, Value: int64(n), Of: int64(of)}
	}
	figures := []page.Figure{
		count("Provider connections", m.Push.Connections, int(limits.Connections)),
		count("Handshakes", m.Push.Handshakes, int(limits.Handshakes)),
		count("Feedback readers", m.Feedback.Readers, 0),
		count("Waiting", waiting, 0),
		{Name: "In memory", Unit: page.Octets, Value: m.Bridge.QueuedBytes, Of: int64(limits.QueuedBytes)},
		{Name: "On disk", Unit: page.Octets, Value: spool.Bytes, Of: spool.Bound},
		count("Feedback entries", m.Store.FeedbackEntries, 0),
		{Name: "Server certificate", Unit: page.Days, Value: daysLeft(a.certificate.Leaf.NotAfter.Sub(a.now()))},
	}
	if f := m.Fleet; f != nil {
		here := 0
		for _, app := range f.Apps {
			if app.Here {
				here++
			}
		}
		figures = append(figures, count("Nodes", f.Nodes, 0), count("Apps on "+f.Node, here, len(f.Apps)),
			count("Carried to other nodes", f.Carries, 0))
	}
	return figures
}

// row describes the state of an app.
func (s *Service) row(a *Assembly, app bridge.App, m *metrics.Snapshot) page.App {
	c, st := a.config.Apps[app.Name], m.Bridge.Apps[app.Name]
	row := page.App{
		Name: app.Name, Topic: c.Topic, Environment: c.Environment, Level: page.Good, State: "serves",
		Taken: st.Taken, Ended: st.Ended(), Accepted: st.Accepted, BadTokens: st.BadTokens + st.BadTokensCached,
		Gone: st.Unregistered, Refused: st.Refused + st.Malformed, Connections: st.Pool.Connections,
		Waiting: st.Waiting.Notifications, OnDisk: st.Waiting.OnDisk, Oldest: oldest(m.Bridge.Now, st.Waiting),
		Past: s.past.app(app.Name, a.now()),
	}
	if verdicts := verdictTimes(&st); verdicts.Count() > 0 {
		row.P99 = verdicts.Quantile(0.99)
	}
	switch problem := m.Troubles[app.Name]; {
	case problem != "":
		row.Level, row.State = page.Bad, problem
	case app.DryRun:
		row.Level, row.State = page.Warn, dryRunState
	case m.Fleet.Elsewhere(app.Name) != "":
		row.Level, row.State = page.Idle, "lives on "+m.Fleet.Elsewhere(app.Name)
	case st.Accepted == 0 && st.Pool.Answered == 0:
		row.Level, row.State = page.Idle, "nothing sent yet"
	}
	row.Credential, row.Expiry = a.credentialFact(app)
	return row
}

// oldest is the age of the oldest notification that waits.
func oldest(now int64, w bridge.WaitingStats) time.Duration {
	if w.Oldest == 0 {
		return 0
	}
	return time.Duration(max(0, now-w.Oldest)) * time.Second
}

// credentialFact describes an app's credentials, with a remark if one expires soon.
func (a *Assembly) credentialFact(app bridge.App) (text string, end *page.Remark) {
	text = describeAll(app, func(d upstream.Description) string {
		switch d.Kind {
		case "none":
			return "none of use"
		case "token":
			return "token key " + d.KeyID + " of team " + d.TeamID
		}
		return "certificate until " + d.Expires.UTC().Format(time.DateOnly)
	})
	if first, ok := firstExpiry(app); ok {
		left := first.Sub(a.now())
		if within := nearEnd(left); within > 0 {
			end = &page.Remark{Level: warning{within: within}.level(), Text: page.DaysLeft(daysLeft(left))}
		}
	}
	return text, end
}

// daysLeft returns the whole days in left; negative: the time is over.
func daysLeft(left time.Duration) int64 {
	if left < 0 {
		return -1
	}
	return int64(left.Hours() / 24)
}

// readsListed is for how many clients an app's page shows the last feedback read.
const readsListed = 10

// appFacts returns the facts for an app's page; ok reports whether there is such an app.
func (s *Service) appFacts(name string) (f *page.AppFacts, ok bool) {
	a, m := s.current.Load(), s.snapshot()
	at := slices.IndexFunc(a.apps, func(b bridge.App) bool { return b.Name == name })
	if at < 0 {
		return nil, false
	}
	f = s.detail(a, m, s.row(a, a.apps[at], m))
	f.Refusal = s.bridge.Refusals()[name]
	for _, figure := range s.metrics.Figures() {
		if figure.App == name && figure.Value != 0 {
			f.Metrics = append(f.Metrics, page.Metric{Name: figure.Name, Value: strconv.FormatFloat(figure.Value, 'f', -1, 64)})
		}
	}
	return f, true
}

// detail returns what is known about an app beyond its row.
func (s *Service) detail(a *Assembly, m *metrics.Snapshot, row page.App) *page.AppFacts {
	name := row.Name
	st := m.Bridge.Apps[name]
	f := &page.AppFacts{App: row, Now: a.now().UTC()}
	for environment, l := range map[string]*bridge.LaneStats{"production": &st.Lanes.Production,
		"sandbox": &st.Lanes.Sandbox} {
		if l.Used() || a.config.Apps[name].Environment == environment {
			f.Lanes = append(f.Lanes, laneFacts(environment, l, m.Bridge.Now))
		}
	}
	slices.SortFunc(f.Lanes, func(a, b page.Lane) int { return strings.Compare(a.Environment, b.Environment) })
	for status := range 256 {
		if n := st.Packets[binproto.Status(status)]; n > 0 {
			f.Packets = append(f.Packets, page.Count{What: fmt.Sprintf("error packet %d, %v", status, binproto.Status(status)),
				Times: n})
		}
	}
	talk := st.Conversation
	f.Resends = counts(page.Count{What: "sent again and recognised", Times: talk.SwallowedSame + talk.SwallowedOther +
		talk.SwallowedReset},
		page.Count{What: "packets that were not read", Times: talk.Blind})
	f.Feedback = counts(page.Count{What: "devices put on the feedback list", Times: st.Feedback},
		page.Count{What: "devices that took a push again", Times: st.Revived})
	for _, read := range s.providers.Reads(name) {
		if len(f.Reads) < readsListed {
			f.Reads = append(f.Reads, page.Read{Client: read.Client, Time: read.Time, Entries: read.Entries})
		}
	}
	for _, failure := range s.bridge.Failures(name) {
		f.Failures = append(f.Failures, failureFact(failure))
	}
	return f
}

func failureFact(of failures.Failure) page.Failure {
	f := page.Failure{Time: of.Time.UTC(), Status: uint8(of.Status), Token: of.Digits(), Reason: of.Reason,
		Client: of.Client, Address: of.From()}
	if of.Named {
		f.Identifier = &of.Identifier
	}
	if !of.Told.IsZero() {
		f.Told = of.Told.UTC()
	}
	return f
}

// counts leaves out what has not happened.
func counts(all ...page.Count) []page.Count {
	return slices.DeleteFunc(all, func(c page.Count) bool { return c.Times == 0 })
}

func laneFacts(environment string, l *bridge.LaneStats, now int64) page.Lane {
	f := page.Lane{
		Environment: environment, Connections: l.Pool.Connections, InFlight: l.Pool.InFlight, Streams: l.Pool.Streams,
		Waiting: l.Waiting.Notifications, OnDisk: l.Waiting.OnDisk, Oldest: oldest(now, l.Waiting),
		TopicsShut: l.TopicsShut, Retrying: l.Asleep - l.AtDoor, Probes: l.Probes, Dials: l.Pool.Dials,
		Fails: l.Pool.DialFailures,
	}
	if l.ClosedSince != 0 {
		f.ClosedSince = time.Unix(l.ClosedSince, 0)
	}
	f.Answers = counts(page.Count{What: "accepted", Times: l.Accepted})
	for ending, n := range l.Endings {
		f.Answers = append(f.Answers, page.Count{What: metrics.Words(ending), Times: n})
	}
	slices.SortFunc(f.Answers, func(a, b page.Count) int { return int(int64(b.Times) - int64(a.Times)) })
	return f
}

// servePage answers with the page of the whole gateway.
func (s *Service) servePage(w http.ResponseWriter, r *http.Request) {
	page.WriteOverview(w, s.facts(s.admin.stopping.Load()), r.URL.Query())
}

// serveApp answers with an app's page.
func (s *Service) serveApp(w http.ResponseWriter, r *http.Request) {
	facts, ok := s.appFacts(r.PathValue("name"))
	if !ok {
		http.Error(w, fmt.Sprintf("app %.100q is not configured", r.PathValue("name")), http.StatusNotFound)
		return
	}
	page.WriteApp(w, facts)
}
