package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
)

// Findings are what check has found, as --json prints them.
type Findings struct {
	Config    string         `json:"config"`
	OK        bool           `json:"ok"`
	Problems  []Finding      `json:"problems"`
	Alarms    []Finding      `json:"alarms"`
	Warnings  []Finding      `json:"warnings"`
	Apps      []AppFinding   `json:"apps"`
	Listeners []ListenerNote `json:"listeners"`
	Postgres  string         `json:"postgres,omitempty"` // how a fleet's is, with --setup or --connect
}

type Finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Text    string `json:"text"`
}

type AppFinding struct {
	Name        string `json:"name"`
	State       string `json:"state"` // the worst that was found: problem, alarm, warning or ok
	Topic       string `json:"topic"`
	Environment string `json:"environment"`
	Credential  string `json:"credential"`
	Expires     string `json:"expires,omitempty"`
	DryRun      bool   `json:"dry_run,omitempty"`
	APNs        string `json:"apns,omitempty"` // what APNs says of it, with --connect
}

// The states of an app, the worst first.
var appStates = []string{"problem", "alarm", "warning", "ok"}

// warn takes alarms and warnings.
func (f *Findings) warn(all []warning) {
	for _, w := range all {
		one := Finding{Setting: w.setting, Text: w.text}
		if w.alarm {
			f.Alarms = append(f.Alarms, one)
		} else {
			f.Warnings = append(f.Warnings, one)
		}
	}
}

// add takes a problem, or each of those that err joins.
func (f *Findings) add(err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			f.add(err)
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

// rate gives each app the worst that was found of it, and puts those with trouble
// first.
func (f *Findings) rate() {
	ranks := make(map[string]int)
	for rank, all := range [][]Finding{f.Problems, f.Alarms, f.Warnings} {
		for _, one := range all {
			name := f.appOf(one.Setting)
			if before, known := ranks[name]; !known || rank < before {
				ranks[name] = rank
			}
		}
	}
	rank := func(app AppFinding) int {
		if rank, troubled := ranks[app.Name]; troubled {
			return rank
		}
		return len(appStates) - 1
	}
	for i, app := range f.Apps {
		f.Apps[i].State = appStates[rank(app)]
	}
	slices.SortStableFunc(f.Apps, func(a, b AppFinding) int { return rank(a) - rank(b) })
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

func (a *Assembly) appFinding(app bridge.App) AppFinding {
	c := a.config.Apps[app.Name]
	f := AppFinding{Name: app.Name, Topic: c.Topic, Environment: c.Environment, Credential: describeAll(app, describe),
		DryRun: app.DryRun}
	if first, ok := firstExpiry(app); ok {
		f.Expires = first.UTC().Format(time.DateOnly)
	}
	return f
}

// describeAll describes what an app shows to APNs: where that is more than one
// thing, each with what it is for.
func describeAll(app bridge.App, describe func(upstream.Description) string) string {
	var all []string
	for _, c := range app.Credentials {
		text := describe(c.Describe())
		if len(app.Credentials) > 1 {
			if c.Environment != bridge.ByListener {
				text = c.Environment.String() + ": " + text
			}
			if len(c.Topics) > 0 {
				text += " for " + config.Few(c.Topics)
			}
		}
		all = append(all, text)
	}
	return config.Few(all)
}

func describe(d upstream.Description) string {
	switch d.Kind {
	case "none":
		return "on hold"
	case "token":
		return fmt.Sprintf("token key %s of team %s", d.KeyID, d.TeamID)
	}
	days := int(time.Until(d.Expires).Hours() / 24)
	return fmt.Sprintf("certificate for %s, good until %s (%d days)", d.Topic, d.Expires.Format(time.DateOnly), days)
}
