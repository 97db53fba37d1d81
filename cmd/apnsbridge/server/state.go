package server

import (
	"fmt"
	"net/http"
	"time"

	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/history"
	"apnsbridge/cmd/apnsbridge/page"
)

// state returns everything that the pages show of the gateway and of its apps.
func (s *Service) state(stopping bool) adminapi.State {
	a, m := s.current.Load(), s.snapshot()
	f := s.factsBy(a, m, stopping)
	details := make([]*page.AppFacts, len(f.Apps))
	for i, row := range f.Apps {
		details[i] = s.detail(a, m, row)
	}
	return stateOf(f, details)
}

// stateOf converts what the pages show to the answer.
func stateOf(f *page.Facts, apps []*page.AppFacts) adminapi.State {
	st := adminapi.State{Ready: f.Ready, State: f.State, Version: f.Version, Now: f.Now, Loaded: f.Loaded,
		Whole:   []adminapi.Figure{},
		Remarks: []adminapi.Remark{}, Limits: []adminapi.Limit{}, Refused: []adminapi.Client{}, Apps: []adminapi.App{}}
	for _, w := range f.Whole {
		st.Whole = append(st.Whole, adminapi.Figure{Name: w.Name, Unit: string(w.Unit), Value: w.Value, Of: w.Of})
	}
	for _, l := range f.Limits {
		st.Limits = append(st.Limits, adminapi.Limit(l))
	}
	for _, r := range f.Refused {
		st.Refused = append(st.Refused, adminapi.Client{Last: r.Last.UTC(), Address: r.Address, Subject: r.Subject,
			Reason: r.Reason, Admit: r.Line, Remedy: r.Remedy, Times: r.Times})
	}
	for _, r := range f.Remarks {
		st.Remarks = append(st.Remarks, stateRemark(r))
	}
	st.Plots = []adminapi.Plot{statePlot("hour", f.Now, f.Hour, history.FineStep),
		statePlot("day", f.Now, f.Day, history.CoarseStep)}
	for _, app := range apps {
		st.Apps = append(st.Apps, stateApp(app))
	}
	return st
}

func stateRemark(r page.Remark) adminapi.Remark {
	return adminapi.Remark{Level: string(r.Level), App: r.App, Text: r.Text}
}

func stateApp(f *page.AppFacts) adminapi.App {
	app := adminapi.App{
		Name: f.Name, Topic: f.Topic, Environment: f.Environment, Level: string(f.Level), State: f.State,
		Credential: f.Credential, Connections: f.Connections, Taken: f.Taken, Ended: f.Ended, Accepted: f.Accepted,
		BadTokens: f.BadTokens, Gone: f.Gone,
		Refused: f.Refused, Waiting: f.Waiting, OnDisk: f.OnDisk, OldestAge: f.Oldest.Seconds(), P99: f.P99.Seconds(),
		Refusal: f.Refusal,
		Packets: stateCounts(f.Packets), Resends: stateCounts(f.Resends), Feedback: stateCounts(f.Feedback),
	}
	if f.Expiry != nil {
		ends := stateRemark(*f.Expiry)
		app.CredentialEnds = &ends
	}
	for _, p := range f.Past {
		app.LastHour.Accepted = append(app.LastHour.Accepted, p.Accepted)
		app.LastHour.Failed = append(app.LastHour.Failed, p.Failed)
	}
	for _, l := range f.Lanes {
		lane := adminapi.Lane{Environment: l.Environment, Connections: l.Connections, InFlight: l.InFlight,
			Streams: l.Streams,
			Answers: stateCounts(l.Answers), Waiting: l.Waiting, OnDisk: l.OnDisk, OldestAge: l.Oldest.Seconds(),
			TopicsShut: l.TopicsShut, Retrying: l.Retrying, Probes: l.Probes, Dials: l.Dials, Fails: l.Fails}
		if !l.ClosedSince.IsZero() {
			lane.ClosedSince = l.ClosedSince.UTC()
		}
		app.Lanes = append(app.Lanes, lane)
	}
	for _, r := range f.Reads {
		app.Reads = append(app.Reads, adminapi.Read{Client: r.Client, Time: r.Time.UTC(), Entries: r.Entries})
	}
	for _, failure := range f.Failures {
		app.Failures = append(app.Failures, adminapi.Failure(failure))
	}
	return app
}

func stateCounts(all []page.Count) (counts []adminapi.Count) {
	for _, c := range all {
		counts = append(counts, adminapi.Count(c))
	}
	return counts
}

// statePlot returns a span of the past as columns, which a client can plot as they are.
func statePlot(span string, now time.Time, points []history.Point, step time.Duration) adminapi.Plot {
	p := adminapi.Plot{Span: span, Step: step.Seconds(),
		From:     now.Truncate(step).Add(-step * time.Duration(max(0, len(points)-1))),
		Outcomes: make(map[string][]uint32), TLS: make(map[string][]int32)}
	for _, point := range points {
		for i, name := range page.OutcomeNames {
			p.Outcomes[name] = append(p.Outcomes[name], point.Outcomes[i])
		}
		for i, name := range page.TLSNames {
			p.TLS[name] = append(p.TLS[name], point.TLS[i])
		}
		p.P50, p.P99 = append(p.P50, point.P50.Seconds()), append(p.P99, point.P99.Seconds())
		p.Waiting, p.OldestAge = append(p.Waiting, point.Waiting), append(p.OldestAge, point.Oldest.Seconds())
	}
	return p
}

// serveState answers GET /api/state.json.
func (s *Service) serveState(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, s.state(s.admin.stopping.Load()))
}

// serveReload answers POST /reload once the reload has been done or refused.
func (s *Service) serveReload(w http.ResponseWriter, r *http.Request) {
	answer := make(chan reloadOutcome, 1)
	select {
	case s.asked <- answer:
	case <-r.Context().Done():
		return
	}
	select {
	case outcome := <-answer:
		if outcome.err != nil {
			http.Error(w, "reload refused, everything stays as it was: "+outcome.err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprintf(w, "reloaded; changes: %s\n", outcome.changes)
		for _, alarm := range outcome.alarms {
			fmt.Fprintf(w, "alarm: %s\n", alarm.text)
		}
	case <-r.Context().Done():
	}
}
