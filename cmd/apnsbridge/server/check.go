package server

import (
	"context"
	"errors"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/findings"
)

// CheckOptions are what Check does beyond reading files.
type CheckOptions struct {
	Connect bool // connect to APNs for each app, and to a fleet's PostgreSQL
	Setup   bool // create a fleet's schema, or bring it up to date
	Listen  bool // try to listen even if a gateway is running
}

// Check reads a configuration and everything that it names, as New would, but serves
// nothing. The error joins the problems that it has found, in the same words in which a
// gateway refuses to start.
func Check(ctx context.Context, file string, how CheckOptions) (*findings.Findings, error) {
	f := findings.New(file)
	err := look(ctx, f, how)
	f.Add(err)
	f.Rate()
	f.OK = len(f.Problems) == 0
	return f, err
}

// look puts its findings into f, except for problems, which the error joins.
func look(ctx context.Context, f *findings.Findings, how CheckOptions) error {
	settings, err := config.Load(f.Config)
	if err != nil {
		return err
	}
	assembled, err := Assemble(settings)
	usable := err == nil
	listeners, listening := assembled.checkListeners(how.Listen)
	f.Listeners = append(f.Listeners, listeners...)
	err = errors.Join(err, listening)
	for _, app := range assembled.apps {
		f.Apps = append(f.Apps, assembled.appFinding(app))
	}
	warn(f, sortWarnings(append(assembled.warnings(), assembled.full()...)))
	if how.Setup && usable {
		err = errors.Join(err, assembled.setUp(ctx))
	}
	if (how.Connect || how.Setup) && usable {
		state, doubts, unfit := assembled.reachPostgres(ctx)
		f.Postgres = state
		warn(f, doubts)
		err = errors.Join(err, unfit)
	}
	if how.Connect && usable {
		answers, clock, refused := assembled.connect(ctx)
		for i, app := range f.Apps {
			f.Apps[i].APNs = answers[app.Name]
		}
		warn(f, clock)
		err = errors.Join(err, refused)
	}
	return err
}

// warn puts alarms and warnings into f.
func warn(f *findings.Findings, all []warning) {
	for _, w := range all {
		one := findings.Finding{Setting: w.setting, Text: w.text}
		if w.alarm {
			f.Alarms = append(f.Alarms, one)
		} else {
			f.Warnings = append(f.Warnings, one)
		}
	}
}
