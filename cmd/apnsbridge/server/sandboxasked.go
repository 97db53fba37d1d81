package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge"
	"apnsbridge/gateway/identity"
)

// sandboxAsked remembers apps that go to production although a provider has asked for the
// sandbox by name: to production, device tokens of the sandbox are bad, and providers may
// delete them.
type sandboxAsked struct {
	log zerolog.Logger
	now func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by app
}

// sandboxAskedEvery is the least time between two log lines about one app, and how long
// /readyz reports it.
const sandboxAskedEvery = time.Hour

const sandboxRemedy = "set the app's environment to by-listener or sandbox, or have the provider ask for " +
	"gateway.push.apple.com"

// asked takes note that a client of app has asked for the sandbox.
func (s *sandboxAsked) asked(app, client, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	last, before := s.last[app]
	if before && now.Sub(last) < sandboxAskedEvery {
		return
	}
	s.last[app] = now
	s.log.Warn().Str("app", app).Str("client", client).Str("name", identity.Clip(name)).Str("remedy", sandboxRemedy).
		Msg("a provider asks for the sandbox, by name or by its certificate, and the app's environment is " +
			"production: its notifications go to production")
}

// sentences reports the apps for which the sandbox was asked for lately, and that still go to
// production.
func (s *sandboxAsked) sentences(current *Assembly) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.last)) {
		production := slices.ContainsFunc(current.apps, func(app bridge.App) bool {
			return app.Name == name &&
				app.Environment == bridge.Production
		})
		if !production || s.now().Sub(s.last[name]) >= sandboxAskedEvery {
			delete(s.last, name)
			continue
		}
		all = append(all, name+": a provider asks for the sandbox, by name or by its certificate, and its "+
			"notifications go to production: "+sandboxRemedy)
	}
	return all
}
