package server

import (
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/smallfile"
)

// warning is a sentence about something that is not a problem yet.
type warning struct {
	setting string
	text    string
	within  int  // if something expires: within 30, 14 or 3 days; otherwise 0
	alarm   bool // something is already not served
}

// warnings returns all warnings, for check, and for the log once a day.
func (a *Assembly) warnings() []warning {
	return sortWarnings(append(a.alarms(), a.notices()...))
}

// notices returns the warnings that a running gateway does not have among its problems.
func (a *Assembly) notices() []warning {
	return sortWarnings(slices.Concat(a.expiring(), a.readable(), a.overheard(), a.everybody(), a.descriptors(openFiles()),
		a.shown(), a.reachable(), a.dryRuns(), a.doubts))
}

// alarms warns of the apps that are held, and of those that keep an old credential.
func (a *Assembly) alarms() (all []warning) {
	for _, name := range slices.Sorted(maps.Keys(a.held)) {
		if a.unserved {
			break
		}
		for line := range strings.SplitSeq(a.held[name].Error(), "\n") {
			all = append(all, warning{setting: "apps." + name, text: line + "; until then the app's notifications wait",
				alarm: true})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.kept)) {
		for line := range strings.SplitSeq(a.kept[name].Error(), "\n") {
			all = append(all, warning{setting: "apps." + name, text: line + "; until then the app keeps the " +
				"credential it had", alarm: true})
		}
	}
	return all
}

// overheard warns if the admin port's token is sent in the clear over a
// network.
func (a *Assembly) overheard() []warning {
	c := a.config.Admin
	if a.admin.token == nil || c.Certificate != "" || c.OnLoopback() {
		return nil
	}
	return []warning{{setting: "admin.token", text: fmt.Sprintf("the token of the admin port %s goes over the "+
		"network in the clear: add admin.certificate and key", c.Listen)}}
}

// warn logs the warnings.
func (s *Service) warn() { s.write(append(s.current.Load().warnings(), s.unconfigured()...)) }

func (s *Service) write(all []warning) {
	for _, w := range all {
		level := zerolog.WarnLevel
		if w.within == 3 || w.alarm {
			level = zerolog.ErrorLevel
		}
		event := s.log.WithLevel(level)
		if w.within > 0 {
			event.Int("within_days", w.within)
		}
		event.Msg(w.text)
	}
}

// expiring warns of our own certificates and CAs that expire soon.
func (a *Assembly) expiring() (all []warning) {
	add := func(setting, what, remedy string, expires time.Time) *warning {
		left := expires.Sub(a.now())
		within := nearEnd(left)
		if within == 0 {
			return &warning{}
		}
		when := fmt.Sprintf("expires on %s, in %d days", expires.UTC().Format(time.DateOnly), int(left.Hours()/24))
		if left < 0 {
			when = "expired on " + expires.UTC().Format(time.DateOnly)
		}
		all = append(all, warning{setting: setting, text: what + " " + when + ": " + remedy, within: within, alarm: left < 0})
		return &all[len(all)-1]
	}
	const replace = "put a new one and its key in place, they are taken without a restart"
	certificates := a.serverCertificates()
	for i, files := range providerFiles(a.config) {
		if leaf := certificates[i].Leaf; leaf != nil {
			add(files.section+".certificate", "tls.certificate "+files.certificate, replace, leaf.NotAfter)
		}
	}
	if leaf := a.admin.certificate.Leaf; leaf != nil {
		add("admin.certificate", "admin.certificate "+a.config.Path(a.config.Admin.Certificate), replace, leaf.NotAfter)
	}
	for _, file := range slices.Sorted(maps.Keys(a.authorities)) {
		for _, ca := range a.authorities[file] {
			add("apps", "the authority "+a.config.Path(file)+" of clients", "make a new one with `apnsbridge certs "+
				"init`, and name both until all providers have changed", ca.NotAfter).alarm = false
		}
	}
	if file, ca := a.ownAuthority(); ca != nil {
		add("tls.certificate", "the authority "+file+" of tls.certificate", "make a new one with `apnsbridge certs "+
			"init`, and give it to the providers before", ca.NotAfter)
	}
	if f := a.fleet; f != nil {
		if leaf := f.certificate.Leaf; leaf != nil {
			add("fleet.certificate", "fleet.certificate "+a.config.Path(a.config.Fleet.Certificate),
				"put a new one and its key in place, and restart this node", leaf.NotAfter)
		}
		for _, ca := range f.authorities {
			add("fleet.ca", "the authority "+a.config.Path(a.config.Fleet.CA)+" of the fleet", "add a new one to that file, "+
				"restart node by node, and then give each a certificate of it", ca.NotAfter)
		}
	}
	for _, app := range a.apps {
		for _, c := range app.Credentials {
			if d := c.Describe(); d.Kind == "certificate" {
				setting := "apps." + app.Name + "." + a.settingOf(app.Name, c)
				add(setting, "the push certificate of "+setting, "renew it in Apple's developer site and reload, or use a token",
					d.Expires)
			}
		}
	}
	return all
}

// ownAuthority returns the CA beside a server certificate that has signed it, nil if there
// is none.
func (a *Assembly) ownAuthority() (file string, ca *x509.Certificate) {
	certificates := a.serverCertificates()
	for i, files := range providerFiles(a.config) {
		file := besideCertificate(files.certificate)
		certs, err := smallfile.Certificates(file)
		if leaf := certificates[i].Leaf; err == nil && leaf != nil && leaf.CheckSignatureFrom(certs[0]) == nil {
			return file, certs[0]
		}
	}
	return "", nil
}

// nearEnd returns within how many days a certificate with so much time left will have
// expired: 3, 14 or 30, or 0 if it lasts longer.
func nearEnd(left time.Duration) (days int) {
	for _, days := range []int{3, 14, 30} {
		if left <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}

// credentialExpiries returns when push certificates expire, by app.
func (a *Assembly) credentialExpiries() map[string]time.Time {
	expiries := make(map[string]time.Time)
	for _, app := range a.apps {
		if first, ok := firstExpiry(app); ok {
			expiries[app.Name] = first
		}
	}
	return expiries
}

// firstExpiry returns when the first of an app's push certificates expires, false if it has
// none: the keys of tokens do not expire.
func firstExpiry(app bridge.App) (first time.Time, ok bool) {
	for _, c := range app.Credentials {
		if d := c.Describe(); d.Kind == "certificate" && (!ok || d.Expires.Before(first)) {
			first, ok = d.Expires, true
		}
	}
	return first, ok
}

// readable warns of secrets that others than their owner may read.
func (a *Assembly) readable() (all []warning) {
	if runtime.GOOS == "windows" {
		return nil // modes say nothing about others there
	}
	say := func(setting, path, format string) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() &&
			info.Mode().Perm()&0o044 != 0 {
			all = append(all, warning{setting: setting, text: fmt.Sprintf(format, setting, path, info.Mode().Perm(),
				quoting.ShellPath(path))})
		}
	}
	look := func(setting, path string) {
		say(setting, path, "%s: others than its owner may read %s (mode %04o): chmod 600 %[4]s")
	}
	named := make(map[string]bool)
	for _, secret := range a.config.Secrets() {
		if !named[secret.File] {
			named[secret.File] = true
			say(secret.Setting, secret.File, "%s is secret, and others than its owner may read %s (mode %04o): "+
				"chmod 600 %[4]s, or take secrets from ${VARIABLES}")
		}
	}
	for _, files := range providerFiles(a.config) {
		look(files.section+".key", files.key)
	}
	if file, ca := a.ownAuthority(); ca != nil {
		look("the authority of tls.certificate", filepath.Join(filepath.Dir(file), authority.KeyFile))
	}
	if a.config.Admin.Listen != "" {
		look("admin.key", a.config.Path(a.config.Admin.Key))
		look("admin.token_file", a.config.Path(a.config.Admin.TokenFile))
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Apps)) {
		for _, file := range a.config.Apps[name].Credential.Files() {
			look("apps."+name+".credential", a.config.Path(file))
		}
	}
	return all
}

// ownDescriptors is a generous count of the open files besides providers' connections:
// connections to APNs, the store, listeners, event loops.
const ownDescriptors = 256

// descriptors warns if the two ports cannot have as many connections as limits.connections
// allows. most is how many files the process may open.
func (a *Assembly) descriptors(most uint64) []warning {
	connections := uint64(a.config.Limits.Connections)
	need := 2*connections + ownDescriptors
	if most >= need {
		return nil
	}
	return []warning{{setting: "limits.connections", text: fmt.Sprintf("this process may open %d files, and "+
		"with limits.connections of %d its two ports need %d: raise LimitNOFILE in its unit or ulimit -n, or "+
		"lower limits.connections", most, connections, need)}}
}

// sortWarnings sorts the worst first.
func sortWarnings(all []warning) []warning {
	slices.SortStableFunc(all, func(a, b warning) int { return rank(a) - rank(b) })
	return all
}

func rank(w warning) int {
	switch {
	case w.alarm:
		return 0
	case w.within == 3:
		return 1
	case w.within > 0:
		return 2
	}
	return 3
}
