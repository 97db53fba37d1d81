package server

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"apnsbridge/bridge/trace"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/page"
)

const (
	traceFor    = 10 * time.Minute // unless the request says otherwise
	notesFor    = 1000             // the most in one answer
	notesOnPage = 50
)

// startTrace answers POST /apps/NAME/trace?token=PREFIX&for=10m&payloads=yes.
func (s *Service) startTrace(w http.ResponseWriter, r *http.Request) {
	app := r.PathValue("name")
	during := traceFor
	if text := r.FormValue("for"); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil {
			http.Error(w, fmt.Sprintf("for=%.20q is no time like 10m", text), http.StatusBadRequest)
			return
		}
	}
	subjects, err := s.bridge.Trace(app, r.FormValue("token"), r.FormValue("payloads") == "yes", during)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.log.Info().Str("app", app).Int("token_digits", len(r.FormValue("token"))).Dur("for", during).
		Bool("payloads", r.FormValue("payloads") == "yes").Msg("notifications are traced, as an operator wants it")
	answerJSON(w, adminapi.Trace{App: app, Tracing: orNone(subjects), Notes: []adminapi.TracedNote{}})
}

// showTrace answers GET /apps/NAME/trace?token=PREFIX&identifier=N&apns_id=ID&limit=N, to a
// browser with a page.
func (s *Service) showTrace(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	q := trace.Question{
		App: r.PathValue("name"), Prefix: query.Get("token"), APNsID: query.Get("apns_id"), Limit: notesFor,
	}
	if text := query.Get("identifier"); text != "" {
		n, err := strconv.ParseUint(text, 0, 32)
		if err != nil {
			http.Error(w, fmt.Sprintf("identifier=%.20q is no number of 32 bits", text), http.StatusBadRequest)
			return
		}
		identifier := uint32(n)
		q.Identifier = &identifier
	}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			http.Error(w, fmt.Sprintf("limit=%.20q is no number from 1 on", text), http.StatusBadRequest)
			return
		}
		q.Limit = min(n, notesFor)
	}
	subjects, notes, err := s.bridge.Traced(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		shown := page.Trace{App: q.App, Now: s.current.Load().now(), Token: q.Prefix, Identifier: query.Get("identifier"),
			APNsID: q.APNsID, Tracing: subjects}
		for i := range slices.Backward(notes) {
			if len(shown.Notes) < notesOnPage {
				shown.Notes = append(shown.Notes, page.TracedNote{Note: notes[i], Curl: notes[i].Curl()})
			}
		}
		page.WriteTrace(w, &shown)
		return
	}
	answer := adminapi.Trace{App: q.App, Tracing: orNone(subjects), Notes: []adminapi.TracedNote{}}
	for i := range notes {
		answer.Notes = append(answer.Notes, adminapi.TracedNote{Note: notes[i], Curl: notes[i].Curl()})
	}
	answerJSON(w, answer)
}

func orNone(subjects []trace.Subject) []trace.Subject {
	if subjects == nil {
		return []trace.Subject{}
	}
	return subjects
}
