package server

// tellFirsts logs once for each app that APNs has accepted a notification: whoever sets the
// app up waits for that.
func (s *Service) tellFirsts() {
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

// totals are the counts of all apps since the start.
type totals struct{ taken, accepted, dryRun, badTokens, unregistered, refused, expired, givenUp uint64 }

// summarise logs a line with the figures of the whole gateway since the last summary.
func (s *Service) summarise() {
	stats, push, waiting := s.bridge.Stats(), s.push.Stats(), 0
	var now totals
	for _, app := range stats.Apps {
		now.taken += app.Taken
		now.accepted += app.Accepted
		now.dryRun += app.DryRun
		now.badTokens += app.BadTokens
		now.unregistered += app.Unregistered
		now.refused += app.Refused + app.Malformed
		now.expired += app.Expired
		now.givenUp += app.Dropped + app.Crowded
		waiting += app.Waiting.Notifications
	}
	before := s.summary
	s.summary = now
	line := s.log.Info().Int("connections", push.Connections).Int("waiting", waiting).Int("troubles",
		len(s.troubles(stats)))
	for _, figure := range []struct {
		name        string
		now, before uint64
	}{
		{"taken", now.taken, before.taken}, {"accepted", now.accepted, before.accepted},
		{"dry_run", now.dryRun, before.dryRun}, {"bad_tokens", now.badTokens, before.badTokens},
		{"unregistered", now.unregistered, before.unregistered}, {"refused", now.refused, before.refused},
		{"expired", now.expired, before.expired}, {"given_up", now.givenUp, before.givenUp},
	} {
		since := figure.now - min(figure.now, figure.before) // an app that a reload has removed no longer counts
		line.Uint64(figure.name, since)
	}
	line.Msg("the last hour")
}
