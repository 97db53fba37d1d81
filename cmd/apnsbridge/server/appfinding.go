package server

import (
	"fmt"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/findings"
)

// appFinding describes an app for check, without check's findings.
func (a *Assembly) appFinding(app bridge.App) findings.App {
	c := a.config.Apps[app.Name]
	f := findings.App{Name: app.Name, Topic: c.Topic, Environment: c.Environment, Credential: describeAll(app, describe),
		DryRun: app.DryRun}
	if first, ok := firstExpiry(app); ok {
		f.Expires = first.UTC().Format(time.DateOnly)
	}
	return f
}

// describeAll describes the credentials of an app; if there are several, each with what
// it is for.
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
		return "none of use"
	case "token":
		return fmt.Sprintf("token key %s of team %s", d.KeyID, d.TeamID)
	}
	days := int(time.Until(d.Expires).Hours() / 24)
	return fmt.Sprintf("certificate for %s, good until %s (%d days)", d.Topic, d.Expires.Format(time.DateOnly), days)
}
