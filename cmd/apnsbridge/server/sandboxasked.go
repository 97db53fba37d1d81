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

// sandboxAsked remembers the apps that go to production and were asked for with
// the sandbox's name: device tokens of the sandbox are bad ones there, and are
// deleted by those who believe it.
type sandboxAsked struct {
	log zerolog.Logger
	now func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by app
}

// sandboxAskedEvery is the least time between two lines about one app, and how
// long /readyz tells of it.
const sandboxAskedEvery = time.Hour

const sandboxRemedy = "set the app's environment to by-listener or sandbox, or have the provider ask for " +
	"gateway.push.apple.com"

// asked notes that a client of app has asked for the sandbox.
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

// sentences tell of the apps that were asked for so lately, and are as they were.
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
