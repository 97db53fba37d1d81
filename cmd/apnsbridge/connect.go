package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"apnsbridge/bridge"
)

// connectPatience is for each thing that is asked.
const connectPatience = 20 * time.Second

// connect shows each app's credentials and topics to APNs, and pushes nothing. The
// error joins a sentence for each that APNs does not take.
func (a *assembly) connect(ctx context.Context, out io.Writer) (clock []warning, err error) {
	var errs []error
	for _, app := range a.apps {
		for _, q := range app.Questions() {
			trying, cancel := context.WithTimeout(ctx, connectPatience)
			ahead, err := bridge.Probe(trying, app, q)
			cancel()
			if ahead != 0 && clock == nil {
				clock = []warning{{setting: "clock", text: "this machine's clock is " + clockError(ahead) + ": set it right"}}
			}
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("apps.%s, %s: %w", app.Name, q.Environment, err))
			case q.Topic == "":
				fmt.Fprintf(out, "app %s: APNs takes the credential in %s; its topics come from certificates and were not tried\n",
					app.Name, q.Environment)
			default:
				fmt.Fprintf(out, "app %s: APNs takes the credential for %s in %s\n", app.Name, q.Topic, q.Environment)
			}
		}
	}
	return clock, errors.Join(errs...)
}

// clockError says how far this machine's clock is from APNs'.
func clockError(ahead time.Duration) string {
	if ahead < 0 {
		return fmt.Sprintf("%v behind that of APNs", -ahead)
	}
	return fmt.Sprintf("%v ahead of that of APNs", ahead)
}
