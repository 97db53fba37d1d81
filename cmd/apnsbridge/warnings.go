package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
)

// warning is a sentence about something that is no problem yet.
type warning struct {
	text   string
	within int // of what expires: 30, 14 or 3 days; otherwise 0
}

// warnings are for check, and for the log of serve once a day.
func (a *assembly) warnings() []warning {
	return slices.Concat(a.expiring(), a.readable(), a.overheard(), a.everybody(), a.descriptors(openFiles()))
}

// overheard looks whether the admin port's token is sent in the clear over a
// network.
func (a *assembly) overheard() []warning {
	c := a.config.Admin
	if a.admin.token == nil || c.Certificate != "" || c.OnLoopback() {
		return nil
	}
	return []warning{{text: fmt.Sprintf("the token of the admin port %s goes over the network in the clear: add admin.certificate and key", c.Listen)}}
}

// warn puts the warnings into the log.
func (s *service) warn() {
	for _, w := range s.current.Load().warnings() {
		level := zerolog.WarnLevel
		if w.within == 3 {
			level = zerolog.ErrorLevel
		}
		event := s.log.WithLevel(level)
		if w.within > 0 {
			event.Int("within_days", w.within)
		}
		event.Msg(w.text)
	}
}

// expiring looks at our own certificates.
func (a *assembly) expiring() (all []warning) {
	add := func(what, remedy string, expires time.Time) {
		left := expires.Sub(a.now())
		within := nearEnd(left)
		if within == 0 {
			return
		}
		when := fmt.Sprintf("expires on %s, in %d days", expires.UTC().Format(time.DateOnly), int(left.Hours()/24))
		if left < 0 {
			when = "expired on " + expires.UTC().Format(time.DateOnly)
		}
		all = append(all, warning{what + " " + when + ": " + remedy, within})
	}
	const replace = "put a new one and its key in place, they are taken without a restart"
	for i, files := range providerFiles(a.config) {
		certificate := a.certificate
		if i > 0 {
			certificate = a.further[i-1]
		}
		if leaf := certificate.Leaf; leaf != nil {
			add("tls.certificate "+files.certificate, replace, leaf.NotAfter)
		}
	}
	if leaf := a.admin.certificate.Leaf; leaf != nil {
		add("admin.certificate "+a.config.Path(a.config.Admin.Certificate), replace, leaf.NotAfter)
	}
	expiries := a.credentialExpiries()
	for _, name := range slices.Sorted(maps.Keys(expiries)) {
		add("the push certificate of apps."+name+".credential", "renew it in Apple's developer site and reload, or use a token", expiries[name])
	}
	return all
}

// nearEnd says within how many days a certificate that lasts for so long will have
// expired: 3, 14 or 30, 0 if it lasts longer.
func nearEnd(left time.Duration) (days int) {
	for _, days := range []int{3, 14, 30} {
		if left <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}

// credentialExpiries are those of push certificates, by app: the keys of tokens
// do not expire.
func (a *assembly) credentialExpiries() map[string]time.Time {
	expiries := make(map[string]time.Time)
	for _, app := range a.apps {
		if app.Credential == nil {
			continue
		}
		if d := app.Credential.Describe(); d.Kind == "certificate" {
			expiries[app.Name] = d.Expires
		}
	}
	return expiries
}

// readable looks for secrets that others than their owner may read.
func (a *assembly) readable() (all []warning) {
	look := func(setting, file string) {
		if file == "" || config.IsKeyText(file) {
			return
		}
		path := a.config.Path(file)
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o044 != 0 {
			all = append(all, warning{text: fmt.Sprintf("%s: others than its owner may read %s (mode %04o): chmod 600 %[2]s", setting, path, info.Mode().Perm())})
		}
	}
	if secrets := a.config.Secrets(); len(secrets) > 0 {
		path := a.config.File()
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o044 != 0 {
			all = append(all, warning{text: fmt.Sprintf("%s is secret, and others than its owner may read %s (mode %04o): chmod 600 %[2]s, or take secrets from ${VARIABLES}", secrets[0], path, info.Mode().Perm())})
		}
	}
	for _, pair := range a.config.TLS.Pairs() {
		look("tls.key", pair.Key)
	}
	if a.config.Admin.Listen != "" {
		look("admin.key", a.config.Admin.Key)
		look("admin.token_file", a.config.Admin.TokenFile)
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Apps)) {
		switch c := a.config.Apps[name].Credential; {
		case c.Token != nil:
			look("apps."+name+".credential", c.Token.Key)
		case c.Certificate != nil:
			look("apps."+name+".credential", c.Certificate.File)
		}
	}
	return all
}

// ownDescriptors is a generous count of the files besides the connections of
// providers: those to APNs, the store, listeners, event loops.
const ownDescriptors = 256

// descriptors looks whether the two ports can have all the connections that
// they may.
func (a *assembly) descriptors(most uint64) []warning {
	connections := uint64(a.config.Limits.Connections)
	need := 2*connections + ownDescriptors
	if most >= need {
		return nil
	}
	return []warning{{text: fmt.Sprintf("this process may open %d files, and with limits.connections of %d its two ports need %d: raise LimitNOFILE in its unit or ulimit -n, or lower limits.connections", most, connections, need)}}
}

// openFiles is how many files this process may open. Go has raised the soft
// limit to the hard one.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return ^uint64(0)
	}
	return limit.Cur
}

// expiry is a figure for the metrics: how long until it.
type expiry struct{ Expires time.Duration }

func (a *assembly) certificateFigure() any {
	return expiry{a.certificate.Leaf.NotAfter.Sub(a.now())}
}

func (a *assembly) credentialFigures() any {
	figures := make(map[string]expiry)
	for app, at := range a.credentialExpiries() {
		figures[app] = expiry{at.Sub(a.now())}
	}
	return figures
}
