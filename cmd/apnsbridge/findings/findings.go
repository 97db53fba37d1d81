// Package findings is what check has found, and how it is printed: sentences, and how each app
// and address stands.
package findings

import (
	"errors"
	"slices"
	"strings"

	"apnsbridge/cmd/apnsbridge/config"
)

// Findings are what check has found, as --json prints them.
type Findings struct {
	Config    string     `json:"config"`
	OK        bool       `json:"ok"`
	Problems  []Finding  `json:"problems"`
	Alarms    []Finding  `json:"alarms"`
	Warnings  []Finding  `json:"warnings"`
	Apps      []App      `json:"apps"`
	Listeners []Listener `json:"listeners"`
	Postgres  string     `json:"postgres,omitempty"` // how a fleet's is, with --setup or --connect
}

// Finding is a sentence, and where in the configuration its cause stands.
type Finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Text    string `json:"text"`
}

// App is how an app stands: one row of the table.
type App struct {
	Name        string `json:"name"`
	State       string `json:"state"` // the worst that was found: problem, alarm, warning or ok
	Topic       string `json:"topic"`
	Environment string `json:"environment"`
	Credential  string `json:"credential"`
	Expires     string `json:"expires,omitempty"`
	DryRun      bool   `json:"dry_run,omitempty"`
	APNs        string `json:"apns,omitempty"` // what APNs says of it, with --connect
}

// Listener is what check says of an address.
type Listener struct {
	Setting string `json:"setting"`
	Address string `json:"address"`
	State   string `json:"state"`
}

// The states of a listener.
const (
	Free  = "free"
	Taken = "taken"
	Wrong = "cannot be listened on"
	Held  = "held by the gateway that runs, or not tried because it runs: --listen tries it"
)

// New finds nothing yet in a configuration.
func New(file string) *Findings {
	return &Findings{
		Config: file, Problems: []Finding{}, Alarms: []Finding{}, Warnings: []Finding{}, Apps: []App{},
		Listeners: []Listener{},
	}
}

// The states of an app, the worst first.
var appStates = []string{"problem", "alarm", "warning", "ok"}

// Add takes a problem, or each of those that err joins.
func (f *Findings) Add(err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			f.Add(err)
		}
		return
	}
	var p config.Problem
	if errors.As(err, &p) {
		f.Problems = append(f.Problems, Finding{File: p.File, Line: p.Line, Text: p.Text})
		return
	}
	setting, _, _ := strings.Cut(err.Error(), ": ")
	f.Problems = append(f.Problems, Finding{Setting: setting, Text: err.Error()})
}

// Rate gives each app the worst that was found of it, and puts those with trouble
// first.
func (f *Findings) Rate() {
	ranks := make(map[string]int)
	for rank, all := range [][]Finding{f.Problems, f.Alarms, f.Warnings} {
		for _, one := range all {
			name := f.appOf(one.Setting)
			if before, known := ranks[name]; !known || rank < before {
				ranks[name] = rank
			}
		}
	}
	rank := func(app App) int {
		if rank, troubled := ranks[app.Name]; troubled {
			return rank
		}
		return len(appStates) - 1
	}
	for i, app := range f.Apps {
		f.Apps[i].State = appStates[rank(app)]
	}
	slices.SortStableFunc(f.Apps, func(a, b App) int { return rank(a) - rank(b) })
}

// appOf is the app whose setting it is, "" if it is none's. An app's name may have
// dots: the longest that fits is meant.
func (f *Findings) appOf(setting string) (name string) {
	rest, ok := strings.CutPrefix(setting, "apps.")
	if !ok {
		return ""
	}
	for _, app := range f.Apps {
		if behind, ok := strings.CutPrefix(rest, app.Name); ok && len(app.Name) > len(name) &&
			(behind == "" || strings.ContainsAny(behind[:1], ".,")) {
			name = app.Name
		}
	}
	return name
}
