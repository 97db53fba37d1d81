package server

import (
	"fmt"
	"maps"
	"slices"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
)

// unconfigured warns of apps that have notifications in the spool but are not configured:
// those are not sent until they are.
func (s *Service) unconfigured() (all []warning) {
	waiting := make(map[string]int)
	for _, line := range s.store.Spool().Stats().Lines {
		waiting[line.App] += line.Log + line.Queued
	}
	apps := s.current.Load().apps
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if waiting[name] == 0 || slices.ContainsFunc(apps, func(a bridge.App) bool { return a.Name == name }) {
			continue
		}
		all = append(all, warning{setting: "apps", text: fmt.Sprintf("%d notifications wait for the app %q, which is not "+
			"configured: configure it again, and they go", waiting[name], config.Clip(name))})
	}
	return all
}
