package server

import (
	"fmt"
	"net/http"

	"apnsbridge/bridge/failures"
	"apnsbridge/cmd/apnsbridge/adminapi"
)

// stateFailures are an app's, as the answer has them.
func stateFailures(all []failures.Failure) (shown []adminapi.Failure) {
	for _, f := range all {
		one := adminapi.Failure{Time: f.Time.UTC(), Status: uint8(f.Status), Token: f.Digits(), Reason: f.Reason, Client: f.Client, Address: f.From()}
		if f.Named {
			one.Identifier = &f.Identifier
		}
		if !f.Told.IsZero() {
			one.Told = f.Told.UTC()
		}
		shown = append(shown, one)
	}
	return shown
}

// state takes a snapshot.
func (s *Service) state(stopping bool) adminapi.State {
	f := s.facts(stopping)
	st := adminapi.State{Ready: f.Ready, State: f.State, Version: f.Version, Loaded: f.Loaded, Remarks: []adminapi.Remark{},
		Limits: []adminapi.Limit{}, Refused: []adminapi.Client{}, Apps: []adminapi.App{}}
	for _, l := range f.Limits {
		st.Limits = append(st.Limits, adminapi.Limit(l))
	}
	for _, r := range f.Refused {
		st.Refused = append(st.Refused, adminapi.Client{Last: r.Last.UTC(), Address: r.Address, Subject: r.Subject,
			Reason: r.Reason, Admit: r.Line, Times: r.Times})
	}
	for _, r := range f.Remarks {
		st.Remarks = append(st.Remarks, adminapi.Remark{Level: string(r.Level), App: r.App, Text: r.Text})
	}
	for _, row := range f.Apps {
		st.Apps = append(st.Apps, adminapi.App{
			Name: row.Name, Topic: row.Topic, Environment: row.Environment, Level: string(row.Level), State: row.State, Credential: row.Credential,
			Connections: row.Connections, Taken: row.Taken, Accepted: row.Accepted, BadTokens: row.BadTokens, Gone: row.Gone,
			Refused: row.Refused, Waiting: row.Waiting, OnDisk: row.OnDisk, OldestAge: row.Oldest.Seconds(), P99: row.P99.Seconds(),
			Refusal: row.Refusal, Failures: stateFailures(s.bridge.Failures(row.Name)),
		})
	}
	return st
}

// serveState answers GET /api/state.json.
func (s *Service) serveState(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, s.state(s.admin.stopping.Load()))
}

// serveReload answers POST /reload, when the reload has been done or refused.
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
