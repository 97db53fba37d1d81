package adminapi

import "apnsbridge/bridge/trace"

// Trace is what a trace has come to, as GET and POST /apps/NAME/trace answer.
type Trace struct {
	App     string          `json:"app"`
	Tracing []trace.Subject `json:"tracing"` // now
	Notes   []TracedNote    `json:"notes"`   // oldest first
}

// TracedNote is a notification with the push that a provider would make of it that
// speaks HTTP/2 itself.
type TracedNote struct {
	trace.Note
	Curl string `json:"curl"`
}
