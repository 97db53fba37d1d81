package server

import (
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/page"
)

// remarks returns what needs the operator's attention.
func (s *Service) remarks(a *Assembly, c condition) (all []page.Remark) {
	add := func(level page.Level, text string) {
		r := page.Remark{Level: level, Text: text}
		if name, rest, ok := a.ofApp(text); ok {
			r.App, r.Text = name, rest
		}
		all = append(all, r)
	}
	if c.fault {
		add(page.Bad, c.state)
	}
	for _, problem := range c.problems {
		add(page.Bad, problem)
	}
	if s.reloads.refused.Load() {
		add(page.Bad, "the last reload was refused, the log says why: the gateway goes by the configuration it read before")
	}
	for _, w := range a.notices() {
		add(w.level(), w.text)
	}
	return all
}

func (a *Assembly) has(app string) bool {
	return slices.ContainsFunc(a.apps, func(b bridge.App) bool { return b.Name == app })
}

// ofApp tells which app a sentence is about: it begins with the app's name, or with that
// of a setting of the app.
func (a *Assembly) ofApp(text string) (app, rest string, ok bool) {
	for _, b := range a.apps {
		if rest, ok := strings.CutPrefix(text, b.Name+": "); ok {
			return b.Name, rest, true
		}
		if strings.HasPrefix(text, "apps."+b.Name+".") {
			return b.Name, text, true
		}
	}
	return "", text, false
}

func (w warning) level() page.Level {
	if w.within == 3 || w.alarm {
		return page.Bad
	}
	return page.Warn
}
