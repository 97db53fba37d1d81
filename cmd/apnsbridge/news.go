package main

// tellFirsts says of each app once that APNs has taken a notification for it: what
// whoever sets it up waits for.
func (s *service) tellFirsts() {
	for name, stats := range s.bridge.Stats().Apps {
		if stats.Accepted == 0 || s.firsts[name] {
			continue
		}
		s.firsts[name] = true
		app := s.current.Load().config.Apps[name]
		s.log.Info().Str("app", name).Str("topic", app.Topic).Str("environment",
			app.Environment).Msg("APNs has accepted the app's first notification")
	}
}

// summarise gives the figures of the whole gateway in a line.
func (s *service) summarise() {
	stats, push := s.bridge.Stats(), s.push.Stats()
	var taken, accepted, badTokens, unregistered, refused uint64
	for _, app := range stats.Apps {
		taken += app.Taken
		accepted += app.Accepted
		badTokens += app.BadTokens
		unregistered += app.Unregistered
		refused += app.Refused + app.Malformed
	}
	s.log.Info().Int("connections", push.Connections).Uint64("taken", taken).Uint64("accepted",
		accepted).Uint64("bad_tokens", badTokens).
		Uint64("unregistered", unregistered).Uint64("refused", refused).Int64("unsettled",
		stats.Unsettled).Int("troubles", len(s.troubles())).
		Msg("since the start")
}
