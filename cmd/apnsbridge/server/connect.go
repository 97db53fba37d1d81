package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"apnsbridge/bridge/settings"
	"apnsbridge/cmd/apnsbridge/config"
)

// connectPatience is how long each question to APNs may take.
const connectPatience = 20 * time.Second

// connect shows each app's credentials and topics to APNs, without pushing anything. It
// returns the answers by app; the error joins a sentence for each that APNs does not accept.
func (a *Assembly) connect(ctx context.Context) (answers map[string]string, clock []warning, err error) {
	answers = make(map[string]string)
	var errs []error
	for _, app := range a.apps {
		var taken []string
		for _, q := range app.Questions() {
			if q.Credential.Describe().Kind == "none" { // there is an alarm that says why
				errs = append(errs, fmt.Errorf("apps.%s, %s: APNs is not asked: the app has no credential of use for that",
					app.Name, q.Environment))
				continue
			}
			trying, cancel := context.WithTimeout(ctx, connectPatience)
			ahead, err := settings.Probe(trying, app, q)
			cancel()
			if ahead != 0 && clock == nil {
				clock = []warning{{setting: "clock", text: "this machine's clock is " + clockError(ahead) + ": set it right"}}
			}
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("apps.%s, %s: %w", app.Name, q.Environment, err))
			case q.Topic == "":
				taken = append(taken, fmt.Sprintf("in %s, where its topics come from certificates and were not tried",
					q.Environment))
			default:
				taken = append(taken, fmt.Sprintf("for %s in %s", q.Topic, q.Environment))
			}
		}
		if len(taken) > 0 {
			answers[app.Name] = "APNs takes it " + config.Few(taken)
		}
	}
	return answers, clock, errors.Join(errs...)
}

// clockError returns a sentence on how far this machine's clock is from APNs' clock.
func clockError(ahead time.Duration) string {
	if ahead < 0 {
		return fmt.Sprintf("%v behind that of APNs", -ahead)
	}
	return fmt.Sprintf("%v ahead of that of APNs", ahead)
}
