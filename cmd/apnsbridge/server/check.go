package server

import (
	"context"
	"errors"

	"apnsbridge/cmd/apnsbridge/config"
)

// CheckOptions say how far Check goes.
type CheckOptions struct {
	Connect bool // reach APNs for each app, and a fleet's PostgreSQL
	Setup   bool // make the schema of a fleet, or bring it up to date
	Listen  bool // try the addresses even if a gateway runs
}

// Check reads a configuration and everything that it names, as New would have it, and
// serves nothing. The error joins the problems that it has found, in the words in which
// a gateway refuses to start.
func Check(ctx context.Context, file string, how CheckOptions) (*Findings, error) {
	f := &Findings{
		Config: file, Problems: []Finding{}, Alarms: []Finding{}, Warnings: []Finding{}, Apps: []AppFinding{},
		Listeners: []ListenerNote{},
	}
	err := f.look(ctx, how)
	f.add(err)
	f.rate()
	f.OK = len(f.Problems) == 0
	return f, err
}

// look collects what there is to be f. The error joins the problems.
func (f *Findings) look(ctx context.Context, how CheckOptions) error {
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
	f.warn(assembled.warnings())
	if how.Setup && usable {
		err = errors.Join(err, assembled.setUp(ctx))
	}
	if (how.Connect || how.Setup) && usable {
		state, doubts, unfit := assembled.reachPostgres(ctx)
		f.Postgres = state
		f.warn(doubts)
		err = errors.Join(err, unfit)
	}
	if how.Connect && usable {
		answers, clock, refused := assembled.connect(ctx)
		for i, app := range f.Apps {
			f.Apps[i].APNs = answers[app.Name]
		}
		f.warn(clock)
		err = errors.Join(err, refused)
	}
	return err
}
