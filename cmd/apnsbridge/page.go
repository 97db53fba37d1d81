package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"apnsbridge/bridge"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets a browser use the page's own style, and nothing else.
var pagePolicy = func() string {
	_, style, _ := strings.Cut(pageText, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	hash := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// page is what page.html shows: how things stand, at a glance.
type page struct {
	Ready       bool
	State       string
	Now, Loaded time.Time
	Remarks     []remark
	Whole       []share
	Apps        []appRow
	Figures     []figureList
}

// remark is a sentence about something to be seen to.
type remark struct{ Level, Text string }

// How bad something is, as page.html has its colours.
const (
	good = "good"
	warn = "warn"
	bad  = "bad"
)

// share is a figure of the whole gateway, against its bound.
type share struct{ Name, Value, Of string }

type appRow struct {
	Name, Topic, Environment string
	Level, State             string // whether APNs takes its notifications
	Connections, InFlight    int    // to APNs
	Counts                   []string
	Refusal                  string // what APNs has refused last, and why
	Credential               string
	Expiry                   *remark // of the credential, once it is near
}

// figureList are the figures of an app, or of what is no app's.
type figureList struct {
	Of  string
	All []namedFigure
}

type namedFigure struct{ Name, Value string }

// page takes a snapshot.
func (s *service) page(stopping bool) page {
	a, condition, stats := s.current.Load(), s.condition(stopping), s.bridge.Stats()
	p := page{Ready: condition.ready, State: condition.state, Now: a.now().UTC(),
		Loaded: time.Unix(s.reloads.loaded.Load(), 0).UTC()}
	switch {
	case condition.ready:
		p.State = "ready"
	case condition.state == "":
		p.State = "APNs serves no app"
	}
	for _, problem := range condition.problems {
		p.Remarks = append(p.Remarks, remark{bad, problem})
	}
	if s.reloads.refused.Load() {
		p.Remarks = append(p.Remarks, remark{bad, "the last reload was refused, the log says why: the gateway goes " +
			"by the configuration it read before"})
	}
	for _, w := range a.warnings() {
		p.Remarks = append(p.Remarks, remark{w.level(), w.text})
	}
	p.Whole = s.whole(a, stats)
	problems, refusals := s.troubles(), s.bridge.Refusals()
	for _, app := range a.apps {
		row := a.row(app, stats.Apps[app.Name], problems[app.Name])
		row.Refusal = refusals[app.Name]
		p.Apps = append(p.Apps, row)
	}
	p.Figures = s.figureLists()
	return p
}

func (w warning) level() string {
	if w.within == 3 || w.alarm {
		return bad
	}
	return warn
}

// whole are the figures of the gateway as a whole that matter first.
func (s *service) whole(a *assembly, stats bridge.Stats) []share {
	push, spool, limits := s.push.Stats(), s.store.Stats().Spool, a.config.Limits
	return []share{
		{"Provider connections", count(push.Connections), count(limits.Connections)},
		{"Handshakes", count(push.Handshakes), count(limits.Handshakes)},
		{"Feedback readers", count(s.feedback.Stats().Readers), ""},
		{"Without a verdict", count(stats.Unsettled), ""},
		{"In memory, bytes", count(stats.QueuedBytes), count(limits.QueuedBytes)},
		{"On disk, bytes", count(spool.Bytes), count(spool.Bound)},
		{"Feedback entries", count(s.store.Stats().FeedbackEntries), ""},
		{"Server certificate", days(a.certificate.Leaf.NotAfter.Sub(a.now())), ""},
	}
}

func (a *assembly) row(app bridge.App, st bridge.AppStats, problem string) appRow {
	c := a.config.Apps[app.Name]
	row := appRow{
		Name: app.Name, Topic: c.Topic, Environment: c.Environment,
		Level: good, State: "serves",
		Connections: st.Pool.Connections, InFlight: st.Pool.InFlight,
	}
	switch {
	case problem != "":
		row.Level, row.State = bad, problem
	case app.DryRun:
		row.Level, row.State = warn, dryRunState
	case st.Accepted == 0 && st.Pool.Answered == 0:
		row.Level, row.State = "dim", "nothing sent yet"
	}
	row.Counts = []string{
		count(st.Taken), count(st.Accepted), count(st.BadTokens), count(st.Unregistered),
		count(st.Refused + st.Malformed),
		count(st.Expired), count(st.Dropped + st.Crowded), count(st.Waiting.Notifications), count(st.Waiting.OnDisk),
	}
	d := app.Credential.Describe()
	switch d.Kind {
	case "none":
		row.Credential = "none of use"
		return row
	case "token":
		row.Credential = "token key " + d.KeyID + " of team " + d.TeamID
		return row
	}
	row.Credential = "certificate until " + d.Expires.UTC().Format(time.DateOnly)
	left := d.Expires.Sub(a.now())
	if within := nearEnd(left); within > 0 {
		row.Expiry = &remark{warning{within: within}.level(), days(left)}
	}
	return row
}

// figureLists are all figures that are not 0, those of no app first.
func (s *service) figureLists() []figureList {
	byApp := make(map[string][]namedFigure)
	for _, f := range s.metrics.Figures() {
		if f.Value != 0 {
			byApp[f.App] = append(byApp[f.App], namedFigure{f.Name, strconv.FormatFloat(f.Value, 'f', -1, 64)})
		}
	}
	var lists []figureList
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		list := figureList{app, byApp[app]}
		if app == "" {
			list.Of = "The gateway"
		}
		lists = append(lists, list)
	}
	return lists
}

// count writes a number in groups of three digits.
func count[N ~int | ~int64 | ~uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
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

// servePage answers with the page.
func servePage(w http.ResponseWriter, p page) {
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Write(text.Bytes())
}
