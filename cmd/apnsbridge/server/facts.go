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

// facts are how the gateway stands, for its page and /api/state.json.
func (s *Service) facts(stopping bool) *page.Facts {
	a, m := s.current.Load(), s.snapshot()
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
	s.past.add(f.Now, m) // whoever looks sees this moment too
	f.Limits = s.past.limits(m.Limits)
	f.Hour, f.Day = s.past.plotted(f.Now)
	return f
}

// remarks are what is to be seen to.
func (s *Service) remarks(a *Assembly, c condition) (all []page.Remark) {
	add := func(level page.Level, text string) {
		r := page.Remark{Level: level, Text: text}
		// Sentences about an app begin with its name.
		if name, rest, ok := strings.Cut(text, ": "); ok && a.has(name) {
			r.App, r.Text = name, rest
		}
		all = append(all, r)
	}
	for _, problem := range c.problems {
		add(page.Bad, problem)
	}
	if s.reloads.refused.Load() {
		add(page.Bad, "the last reload was refused, the log says why: the gateway goes by the configuration it read before")
	}
	for _, w := range a.warnings() {
		add(w.level(), w.text)
	}
	return all
}

func (a *Assembly) has(app string) bool {
	return slices.ContainsFunc(a.apps, func(b bridge.App) bool { return b.Name == app })
}

func (w warning) level() page.Level {
	if w.within == 3 || w.alarm {
		return page.Bad
	}
	return page.Warn
}

// whole are the figures of the gateway as a whole that matter first.
func (s *Service) whole(a *Assembly, m *metrics.Snapshot) []page.Figure {
	limits, spool := a.config.Limits, m.Store.Spool
	waiting := 0
	for _, app := range m.Bridge.Apps {
		waiting += app.Waiting.Notifications
	}
	figures := []page.Figure{
		{Name: "Provider connections", Value: page.Number(m.Push.Connections), Of: page.Number(limits.Connections)},
		{Name: "Handshakes", Value: page.Number(m.Push.Handshakes), Of: page.Number(limits.Handshakes)},
		{Name: "Feedback readers", Value: page.Number(m.Feedback.Readers)},
		{Name: "Waiting", Value: page.Number(waiting)},
		{Name: "In memory", Value: page.Bytes(m.Bridge.QueuedBytes), Of: page.Bytes(limits.QueuedBytes)},
		{Name: "On disk", Value: page.Bytes(spool.Bytes), Of: page.Bytes(spool.Bound)},
		{Name: "Feedback entries", Value: page.Number(m.Store.FeedbackEntries)},
		{Name: "Server certificate", Value: days(a.certificate.Leaf.NotAfter.Sub(a.now()))},
	}
	if f := m.Fleet; f != nil {
		here := 0
		for _, app := range f.Apps {
			if app.Here {
				here++
			}
		}
		figures = append(figures, page.Figure{Name: "Nodes", Value: page.Number(f.Nodes)},
			page.Figure{Name: "Apps on " + f.Node, Value: page.Number(here), Of: page.Number(len(f.Apps))},
			page.Figure{Name: "Carried to other nodes", Value: page.Number(f.Carries)})
	}
	return figures
}

// row is how an app stands.
func (s *Service) row(a *Assembly, app bridge.App, m *metrics.Snapshot) page.App {
	c, st := a.config.Apps[app.Name], m.Bridge.Apps[app.Name]
	row := page.App{
		Name: app.Name, Topic: c.Topic, Environment: c.Environment, Level: page.Good, State: "serves",
		Taken: st.Taken, Accepted: st.Accepted, BadTokens: st.BadTokens + st.BadTokensCached,
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

// oldest is the age of what waits, when it is now.
func oldest(now int64, w bridge.WaitingStats) time.Duration {
	if w.Oldest == 0 {
		return 0
	}
	return time.Duration(max(0, now-w.Oldest)) * time.Second
}

// credentialFact is what an app shows to APNs, and whether it comes to its end.
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
			end = &page.Remark{Level: warning{within: within}.level(), Text: days(left)}
		}
	}
	return text, end
}

func days(left time.Duration) string {
	switch n := int(left.Hours() / 24); {
	case left < 0:
		return "expired"
	case n == 1:
		return "1 day left"
	default:
		return fmt.Sprintf("%d days left", n)
	}
}

// readsListed is of how many clients an app's page has the last read of feedback.
const readsListed = 10

// appFacts are an app's page; ok is whether there is such an app.
func (s *Service) appFacts(name string) (f *page.AppFacts, ok bool) {
	a, m := s.current.Load(), s.snapshot()
	at := slices.IndexFunc(a.apps, func(b bridge.App) bool { return b.Name == name })
	if at < 0 {
		return nil, false
	}
	st := m.Bridge.Apps[name]
	f = &page.AppFacts{App: s.row(a, a.apps[at], m), Now: a.now().UTC()}
	f.Refusal = s.bridge.Refusals()[name]
	for environment, l := range map[string]*bridge.LaneStats{"production": &st.Lanes.Production, "sandbox": &st.Lanes.Sandbox} {
		if l.Used() || a.config.Apps[name].Environment == environment {
			f.Lanes = append(f.Lanes, laneFacts(environment, l, m.Bridge.Now))
		}
	}
	slices.SortFunc(f.Lanes, func(a, b page.Lane) int { return strings.Compare(a.Environment, b.Environment) })
	for status := range 256 {
		if n := st.Packets[binproto.Status(status)]; n > 0 {
			f.Packets = append(f.Packets, page.Count{What: fmt.Sprintf("error packet %d, %v", status, binproto.Status(status)), Times: n})
		}
	}
	talk := st.Conversation
	f.Resends = counts(page.Count{What: "sent again and recognised", Times: talk.SwallowedSame + talk.SwallowedOther + talk.SwallowedReset},
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
	for _, figure := range s.metrics.Figures() {
		if figure.App == name && figure.Value != 0 {
			f.Figures = append(f.Figures, page.Figure{Name: figure.Name, Value: strconv.FormatFloat(figure.Value, 'f', -1, 64)})
		}
	}
	return f, true
}

func failureFact(of failures.Failure) page.Failure {
	f := page.Failure{Time: of.Time, Status: fmt.Sprintf("%d, %v", of.Status, of.Status), Device: of.Digits(), Reason: of.Reason,
		Provider: strings.TrimSpace(of.Client + " " + of.From()), Told: !of.Told.IsZero()}
	if of.Named {
		f.Identifier = strconv.FormatUint(uint64(of.Identifier), 10)
	}
	return f
}

// counts leaves out what did not come to pass.
func counts(all ...page.Count) []page.Count {
	return slices.DeleteFunc(all, func(c page.Count) bool { return c.Times == 0 })
}

func laneFacts(environment string, l *bridge.LaneStats, now int64) page.Lane {
	f := page.Lane{
		Environment: environment, Connections: l.Pool.Connections, InFlight: l.Pool.InFlight, Streams: l.Pool.Streams,
		Waiting: l.Waiting.Notifications, OnDisk: l.Waiting.OnDisk, Oldest: oldest(now, l.Waiting),
		TopicsShut: l.TopicsShut, Probes: l.Probes, Dials: l.Pool.Dials, Fails: l.Pool.DialFailures,
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

// onPage has a button of the page lead back to it: others get next's own answer.
func onPage(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			next(w, r)
			return
		}
		answer := &heldAnswer{ResponseWriter: w}
		next(answer, r)
		if answer.status >= http.StatusBadRequest {
			return
		}
		app := r.PathValue("name")
		if app == "" {
			app = r.FormValue("app")
		}
		w.Header().Del("Content-Type")
		http.Redirect(w, r, "/apps/"+app, http.StatusSeeOther)
	}
}

// heldAnswer lets only mistakes through.
type heldAnswer struct {
	http.ResponseWriter
	status int
}

func (h *heldAnswer) WriteHeader(status int) {
	if h.status = status; status >= http.StatusBadRequest {
		h.ResponseWriter.WriteHeader(status)
	}
}

func (h *heldAnswer) Write(b []byte) (int, error) {
	if h.status >= http.StatusBadRequest {
		return h.ResponseWriter.Write(b)
	}
	return len(b), nil
}
