package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
)

// reloadOutcome is the result of a reload: what has changed, or why nothing has.
type reloadOutcome struct {
	changes string
	err     error
	alarms  []warning // what is still not served
}

// hangup reloads and logs the outcome.
func (s *Service) hangup() reloadOutcome {
	before := s.current.Load()
	err := s.reload()
	s.reloads.reloaded(s.current.Load().now(), err)
	if err != nil {
		s.log.Error().Err(err).Msg("reload refused: everything stays as it was")
		return reloadOutcome{err: err}
	}
	current := s.current.Load()
	changes := current.changes(before)
	s.log.Info().Int("apps", len(current.apps)).Str("changes", changes).Msg("reloaded")
	s.write(current.retopiced(before))
	s.warn()
	return reloadOutcome{changes: changes, alarms: current.alarms()}
}

// status is the outcome in short, for systemd.
func (o reloadOutcome) status() string {
	if o.err != nil {
		return "reload refused: everything stays as it was"
	}
	return "reloaded"
}

// reload applies the configuration file and everything that it names as they are now,
// or nothing of them: then the error says why. Connections and notifications under way
// stay as they are, except that connections of clients that would no longer be admitted
// are ended.
//
// The bridge comes first: for a moment it then knows apps for which no client is admitted
// yet, and it turns away providers of apps that it no longer knows in good order.
func (s *Service) reload() error {
	current := s.current.Load()
	settings, err := config.Load(current.config.File())
	if err != nil {
		return err
	}
	if err := restartFor(current.config, settings); err != nil {
		return err
	}
	next, err := Assemble(settings)
	if err != nil {
		return err
	}
	next.now = current.now
	if err := next.expiredInstead(current); err != nil {
		return err
	}
	next.keepCredentials(current)
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.ending {
		return errors.New("the gateway stops")
	}
	if err := s.bridge.Reload(next.apps); err != nil {
		return err
	}
	s.current.Store(next)
	s.roll.review()
	if s.fleet != nil {
		s.fleet.member.Review()
	}
	return nil
}

// keepCredentials lets an app whose new credential cannot be used keep the current
// one.
func (a *Assembly) keepCredentials(current *Assembly) {
	for i, app := range a.apps {
		if a.held[app.Name] == nil {
			continue
		}
		before := current.bridged(app.Name)
		if keepUsable(app.Credentials, before.Credentials) {
			a.apps[i].EndpointCA = before.EndpointCA
			a.kept[app.Name] = a.held[app.Name]
			delete(a.held, app.Name)
		}
	}
}

// keepUsable replaces credentials that cannot be used by those that were used before for
// the same environment and topics. It reports whether all can be used then.
func keepUsable(now, before []bridge.Credential) (all bool) {
	all = true
	for i, c := range now {
		if c.Unusable() == nil {
			continue
		}
		k := slices.IndexFunc(before, func(b bridge.Credential) bool {
			same := b.Environment == c.Environment || b.Environment == bridge.ByListener
			return same && slices.Equal(b.Topics, c.Topics) && b.Unusable() == nil
		})
		if k < 0 {
			all = false
			continue
		}
		now[i].Credential = before[k].Credential
	}
	return all
}

// reloadable are the settings that can change while the gateway runs. The others have
// gone into sockets, files and bounds of memory.
var reloadable = []string{
	"tls.certificate", "tls.key", "tls.certificates",
	"admin.token", "admin.token_file",
	"apps", "include", "apps_dir",
	"limits.frame2_bytes", "limits.payload_bytes", "limits.voip_payload_bytes", "limits.token_bytes",
	"limits.drain",
}

// restartFor returns an error that names the settings that differ and need a restart.
func restartFor(current, next *config.Config) error {
	var fixed []string
	for _, name := range differences(current, next) {
		if !slices.Contains(reloadable, name) {
			fixed = append(fixed, name)
		}
	}
	if len(fixed) > 0 {
		return fmt.Errorf("changes to %s need a restart: restart the gateway, or take them back and reload",
			strings.Join(fixed, ", "))
	}
	return nil
}

// differences returns the settings whose values differ, as SECTION.NAME. All apps count as
// one setting.
func differences(a, b *config.Config) (names []string) {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for _, section := range reflect.VisibleFields(va.Type()) {
		sa, sb := va.FieldByIndex(section.Index), vb.FieldByIndex(section.Index)
		name := section.Tag.Get("yaml")
		switch {
		case !section.IsExported():
		case sa.Kind() != reflect.Struct:
			if !reflect.DeepEqual(sa.Interface(), sb.Interface()) {
				names = append(names, name)
			}
		default:
			for i := range sa.NumField() {
				if !reflect.DeepEqual(sa.Field(i).Interface(), sb.Field(i).Interface()) {
					names = append(names, name+"."+sa.Type().Field(i).Tag.Get("yaml"))
				}
			}
		}
	}
	return names
}
