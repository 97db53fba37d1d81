package page

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/health"
	"apnsbridge/cmd/apnsbridge/history"
)

//go:embed head.html overview.html app.html providers.html trace.html simulator.html page.css page.js
var files embed.FS

// Policy lets a browser use what the page brings along, and nothing else.
const Policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// A long list is cut, so that the page stays one: of apps, where the others are found by
// their names, and of the sentences of one level.
var rows, remarksOfAKind = cut{all: 20, first: 15}, cut{all: 10, first: 5}

// cut is how long a list may be to be shown as it is, and how much of it is shown else.
type cut struct{ all, first int }

// list gives what is shown of a list, and how many others there are.
func list[E any](all []E, c cut) (shown []E, more int) {
	if len(all) <= c.all {
		return all, 0
	}
	return all[:c.first], len(all) - c.first
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"number": func(n any) string {
		switch n := n.(type) {
		case int:
			return Number(n)
		case int64:
			return Number(n)
		case uint64:
			return Number(n)
		}
		return fmt.Sprint(n)
	},
	"amount":   amount,
	"duration": duration,
	"percent":  percent,
	"gist":     health.WithoutExample,
	"beside":   beside,
	"payload":  payload,
	"path":     url.PathEscape,
	"status":   func(s uint8) string { return fmt.Sprintf("%d, %v", s, binproto.Status(s)) },
	"join":     func(all []string) string { return strings.Join(all, ", ") },
	"spark":    spark,
	"part":     func(used, most int64) string { return percent(uint64(max(used, 0)), uint64(max(most, 0))) },
	"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
	"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
	"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}).ParseFS(files, "*.html"))

// overview is what overview.html shows.
type overview struct {
	*Facts
	Groups []group
	Plots  []Plot
	Day    bool // the plots are the day's, and not the hour's
	Query  string
	Listed []App
	More   int // apps that match and are not listed
}

// group are the remarks of one level.
type group struct {
	Level Level
	Title string
	All   []shared
	More  int
}

// shared is what is to be seen to for the same reason.
type shared struct {
	Level Level
	Text  string
	Apps  []string // the first of them; none: the whole gateway's
	More  int      // apps
}

// appsOfARemark is how many apps are named with what they share at most.
const appsOfARemark = 10

// WriteOverview answers with the page of the whole gateway. The query may have q, a
// part of an app's name or topic, and span=day.
func WriteOverview(w http.ResponseWriter, facts *Facts, query url.Values) {
	o := overview{Facts: facts, Day: query.Get("span") == "day", Query: strings.TrimSpace(query.Get("q"))}
	if o.Day {
		o.Plots = plots(facts.Day, history.CoarseStep)
	} else {
		o.Plots = plots(facts.Hour, history.FineStep)
	}
	o.Groups = groups(facts.Remarks)
	o.Listed, o.More = list(matching(facts.Apps, o.Query), rows)
	write(w, "overview.html", o)
}

// groups sorts remarks by their urgency, and says once what several apps share: that
// differs from one to the other in the device it was met with, which the app's page names.
func groups(remarks []Remark) (all []group) {
	for _, g := range []group{{Level: Bad, Title: "At once"}, {Level: Warn, Title: "Soon"}} {
		at := make(map[string]int)
		for _, r := range remarks {
			if r.Level != g.Level {
				continue
			}
			r.Text = beside(r.App, r.Text)
			gist := health.WithoutExample(r.Text)
			i, known := at[gist]
			if !known {
				i = len(g.All)
				at[gist] = i
				g.All = append(g.All, shared{Level: r.Level, Text: r.Text})
			}
			s := &g.All[i]
			if s.Text != r.Text {
				s.Text = gist
			}
			switch {
			case r.App == "":
			case len(s.Apps) < appsOfARemark:
				s.Apps = append(s.Apps, r.App)
			default:
				s.More++
			}
		}
		if len(g.All) > remarksOfAKind.all { // those of apps must not hide the whole gateway's
			slices.SortStableFunc(g.All, func(a, b shared) int {
				return cmp.Compare(min(len(a.Apps), 1), min(len(b.Apps), 1))
			})
		}
		if g.All, g.More = list(g.All, remarksOfAKind); len(g.All) > 0 {
			all = append(all, g)
		}
	}
	return all
}

// matching returns the apps whose name or topic contains query: those in trouble first,
// then those with most to do.
func matching(apps []App, query string) []App {
	query = strings.ToLower(query)
	found := slices.DeleteFunc(slices.Clone(apps), func(a App) bool {
		return !strings.Contains(strings.ToLower(a.Name+" "+a.Topic), query)
	})
	slices.SortStableFunc(found, func(a, b App) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(b.busy(), a.busy()), strings.Compare(a.Name, b.Name))
	})
	return found
}

func urgency(a App) int {
	if a.Level == Bad || a.Expiry != nil && a.Expiry.Level == Bad {
		return 0
	}
	if a.Level == Warn || a.Expiry != nil {
		return 1
	}
	return 2
}

// busy is what the app had to do in the last hour.
func (a *App) busy() (n uint64) {
	for _, p := range a.Past {
		n += uint64(p.Accepted) + uint64(p.Failed)
	}
	return n
}

// WriteApp answers with an app's page.
func WriteApp(w http.ResponseWriter, facts *AppFacts) { write(w, "app.html", facts) }

func write(w http.ResponseWriter, name string, data any) {
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", Policy)
	w.Header().Set("Referrer-Policy", "same-origin") // with none, a form's Origin would be null
	w.Write(text.Bytes())
}

// File serves the style and the script.
func File(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", Policy)
	http.ServeFileFS(w, r, files, strings.TrimPrefix(r.URL.Path, "/"))
}

// ServeChanges tells a page once in a while that there is something new, as server-sent
// events, until the reader or the server ends it.
func ServeChanges(w http.ResponseWriter, r *http.Request, every time.Duration, ended <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		// The server's bound for an answer is not for one that has no end.
		if err := control.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return
		}
		if _, err := w.Write([]byte("data: now\n\n")); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}
