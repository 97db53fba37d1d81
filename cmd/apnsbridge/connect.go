package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"apnsbridge/bridge"
)

// connectPatience is for each app and environment.
const connectPatience = 20 * time.Second

// connect shows each app's credential and topic to APNs, and pushes nothing. The
// error joins a sentence for each app that APNs does not take.
func (a *assembly) connect(ctx context.Context, out io.Writer) error {
	var errs []error
	for _, app := range a.apps {
		environments := []bridge.Environment{app.Environment}
		if app.Environment == bridge.ByListener {
			environments = []bridge.Environment{bridge.Production, bridge.Sandbox}
		}
		for _, env := range environments {
			name := map[bridge.Environment]string{bridge.Production: "production", bridge.Sandbox: "sandbox"}[env]
			trying, cancel := context.WithTimeout(ctx, connectPatience)
			err := bridge.Probe(trying, app, env)
			cancel()
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("apps.%s, %s: %w", app.Name, name, err))
			case app.Topic == "":
				fmt.Fprintf(out, "app %s: APNs takes the credential in %s; its topics come from certificates and were not tried\n", app.Name, name)
			default:
				fmt.Fprintf(out, "app %s: APNs takes the credential for %s in %s\n", app.Name, app.Topic, name)
			}
		}
	}
	return errors.Join(errs...)
}
