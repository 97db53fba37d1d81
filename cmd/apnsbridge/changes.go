package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
)

// changes says what a reload has made other than it was before, in a line.
func (a *assembly) changes(before *assembly) string {
	var all []string
	for _, setting := range differences(before.config, a.config) {
		if setting != "apps" {
			all = append(all, setting)
		}
	}
	if !slices.Equal(stampsOf(before), stampsOf(a)) && !slices.Contains(all, "tls.certificate") &&
		!slices.Contains(all, "tls.certificates") {
		all = append(all, "the server certificate's file")
	}
	old, now := before.config.Apps, a.config.Apps
	var added, removed, changed []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch was, ok := old[name]; {
		case !ok:
			added = append(added, name)
		case !reflect.DeepEqual(was, now[name]):
			changed = append(changed, name)
		case !before.bridged(name).Credential.Equal(a.bridged(name).Credential):
			changed = append(changed, name+" (its credential's file)")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, ok := now[name]; !ok {
			removed = append(removed, name)
		}
	}
	for _, apps := range []struct {
		what  string
		names []string
	}{{"apps added", added}, {"apps removed", removed}, {"apps changed", changed}} {
		if len(apps.names) > 0 {
			all = append(all, fmt.Sprintf("%s: %s", apps.what, few(apps.names)))
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}

func stampsOf(a *assembly) []certificateStamp {
	stamps := []certificateStamp{a.admin.certificate.stamp}
	for _, c := range a.serverCertificates() {
		stamps = append(stamps, c.stamp)
	}
	return stamps
}

// bridged is the app as the bridge has it, an empty one if it has none.
func (a *assembly) bridged(name string) bridge.App {
	for _, app := range a.apps {
		if app.Name == name {
			return app
		}
	}
	return bridge.App{}
}

// retopiced warns of renewed push certificates that are for other topics than
// those they replace, where the app takes its topics from certificates.
func (a *assembly) retopiced(before *assembly) (all []warning) {
	for _, app := range a.apps {
		old, now := leafOf(before.bridged(app.Name).Credential), leafOf(app.Credential)
		if old == nil || now == nil || old.Equal(now) {
			continue
		}
		if was, is := before.bridged(app.Name).Credential.Describe().Topic, app.Credential.Describe().Topic; was != is {
			all = append(all, warning{setting: "apps." + app.Name + ".credential", text: fmt.Sprintf(
				"apps.%s.credential: the push certificate is for %s, and the one before it was for %s: is it the "+
					"right file?", app.Name, config.Clip(is), config.Clip(was))})
		}
	}
	return all
}
