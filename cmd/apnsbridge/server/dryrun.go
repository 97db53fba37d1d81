package server

import (
	"fmt"

	"apnsbridge/bridge"
)

const dryRunState = "dry run: nothing goes to APNs"

// dryRuns warns of the apps whose notifications are taken and go nowhere.
func (a *Assembly) dryRuns() (all []warning) {
	for _, app := range a.apps {
		if app.DryRun {
			setting := "apps." + app.Name + ".dry_run"
			all = append(all, warning{setting: setting, text: setting + ": what the app's providers send is taken " +
				"as if APNs had accepted it, and goes nowhere: remove it once the app is to be served"})
		}
	}
	return all
}

// dryRunSentences say for each of them how many notifications have gone nowhere.
func (a *Assembly) dryRunSentences(stats bridge.Stats) (all []string) {
	for _, app := range a.apps {
		if app.DryRun {
			all = append(all, fmt.Sprintf("%s: %s, notifications so far: %d", app.Name, dryRunState,
				stats.Apps[app.Name].DryRun))
		}
	}
	return all
}
