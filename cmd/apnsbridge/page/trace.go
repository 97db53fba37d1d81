package page

import (
	"net/http"
	"time"

	"apnsbridge/bridge/trace"
)

// Trace is what trace.html shows: what is traced of an app, and what came of it.
type Trace struct {
	App                       string
	Now                       time.Time
	Token, Identifier, APNsID string // what is asked for; empty: all
	Tracing                   []trace.Subject
	Notes                     []TracedNote // latest first
}

// TracedNote is a notification with the push that a provider would make of it that
// speaks HTTP/2 itself.
type TracedNote struct {
	trace.Note
	Curl string
}

// WriteTrace answers with the page of an app's trace.
func WriteTrace(w http.ResponseWriter, t *Trace) { write(w, "trace.html", t) }
