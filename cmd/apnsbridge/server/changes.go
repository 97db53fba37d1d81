package server

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
)

// changes describes on one line what a reload has changed.
func (a *Assembly) changes(before *Assembly) string {
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
		case !slices.EqualFunc(before.bridged(name).Credentials, a.bridged(name).Credentials, sameCredential):
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
			all = append(all, fmt.Sprintf("%s: %s", apps.what, config.Few(apps.names)))
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}

func sameCredential(a, b bridge.Credential) bool { return a.Equal(b.Credential) }

func stampsOf(a *Assembly) []certificateStamp {
	stamps := []certificateStamp{a.admin.certificate.stamp}
	for _, c := range a.serverCertificates() {
		stamps = append(stamps, c.stamp)
	}
	return stamps
}

// settingOf returns the setting that names a credential of an app, relative to the app's.
func (a *Assembly) settingOf(app string, c bridge.Credential) string {
	_, setting := a.config.Apps[app].Credential.In(c.Environment.String())
	return setting
}

// bridged returns the app as the bridge has it, an empty one if there is none of that name.
func (a *Assembly) bridged(name string) bridge.App {
	for _, app := range a.apps {
		if app.Name == name {
			return app
		}
	}
	return bridge.App{}
}

// retopiced warns of renewed push certificates that are for other topics than the ones
// before, if the app takes its topics from certificates.
func (a *Assembly) retopiced(before *Assembly) (all []warning) {
	for _, app := range a.apps {
		was := before.bridged(app.Name).Credentials
		for i, c := range app.Credentials {
			if i >= len(was) || leafOf(was[i].Credential) == nil || leafOf(c.Credential) == nil {
				continue
			}
			if was, is := was[i].Describe().Topic, c.Describe().Topic; was != is {
				setting := "apps." + app.Name + "." + a.settingOf(app.Name, c)
				all = append(all, warning{setting: setting, text: fmt.Sprintf("%s: the push certificate is for %s, and the "+
					"one before it was for %s: is it the right file?", setting, config.Clip(is), config.Clip(was))})
			}
		}
	}
	return all
}
