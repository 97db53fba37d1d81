package metrics

import (
	"maps"
	"slices"
	"strconv"

	"apnsbridge/bridge"
)

var providers = group{"What providers are told, and send again", []family{
	of(counter, "packets_total", "Error packets that were decided on, by their status: 1 to 7 for what is missing or "+
		"too long, 8 for a bad token, 10 for the end of the connection, 255 for what is not known.",
		[]string{"app", "status"}, func(s *view, to sink) {
			for _, app := range s.apps {
				for _, status := range slices.Sorted(maps.Keys(app.Packets)) {
					to.set(float64(app.Packets[status]), app.name, strconv.Itoa(int(status)))
				}
			}
		}),
	appParts(counter, "failures_untold_total", "Failures of which a provider was not told: by setting (on_bad_token), "+
		"because its kind never sends again (never_resends), because its frames cannot be named (no_identifier, "+
		"same_identifier), because the connection cannot carry a packet (old_tls), because Apple never "+
		"reported it (status), or because it failed behind another or the connection was gone (gone).", "reason",
		func(app *bridge.AppStats) []part {
			c := &app.Conversation
			return []part{
				{"on_bad_token", float64(c.SkippedContinue)}, {"never_resends", float64(c.SkippedNever)},
				{"no_identifier", float64(c.SkippedNoName)}, {"same_identifier", float64(c.SkippedConstant)},
				{"old_tls", float64(c.SkippedMute)}, {"status", float64(c.SkippedStatus)}, {"gone", float64(c.Untold)},
			}
		}),
	perApp(counter, "packets_unheard_total", "Error packets that the provider did not get.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.Blind) }),
	perApp(counter, "heads_taken_over_total", "Notifications that held up a failure behind them for too long, and are "+
		"delivered on the gateway's own account.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.TakenOver) }),
	appParts(counter, "resends_swallowed_total", "Notifications sent again and not delivered twice, by what they were "+
		"known by: identifier, content, reset where their connection had broken, or crash where they had been in the spool "+
		"before one.", "known_by",
		func(app *bridge.AppStats) []part {
			c := &app.Conversation
			return []part{{"identifier", float64(c.SwallowedSame)}, {"content", float64(c.SwallowedOther)},
				{"reset", float64(c.SwallowedReset)}, {"crash", float64(app.Known)}}
		}),
	perApp(counter, "resends_delivered_total", "Notifications sent again and delivered, because the first was not.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.SentAfterAll) }),
	perApp(counter, "ledger_remembered_total", "Notifications remembered behind an error packet, to be sent again.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.Remembered) }),
	perApp(counter, "ledger_expired_total", "Of those, that did not come again in their time.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.ExpiredUnused) }),
	appParts(counter, "ledger_evicted_total", "Notifications that were given up: for want of room, or "+
		"because their provider does not keep so many to send again.", "how",
		func(app *bridge.AppStats) []part {
			c := &app.Conversation
			return []part{{"forgotten", float64(c.Evicted)}, {"out_of_reach", float64(c.OutOfReach)}}
		}),
	appParts(counter, "habits_learned_total", "What was learned of providers behind error packets: a tail came again in "+
		"its order (resends), it did not (missed) and they are told nothing more (never), or the whole list began anew "+
		"(repeats).", "habit",
		func(app *bridge.AppStats) []part {
			c := &app.Conversation
			return []part{{"resends", float64(c.ProvedResending)}, {"missed", float64(c.Misses)},
				{"never", float64(c.BecameNever)}, {"repeats", float64(c.ListsRepeated)}}
		}),
	perApp(gauge, "ledger_entries", "Notifications remembered now.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.Entries) }),
	perApp(gauge, "ledger_bytes", "Memory of what is remembered behind error packets.",
		func(app *bridge.AppStats) float64 { return float64(app.Conversation.Bytes) }),
	whole(counter, "ledger_write_failures_total", "Commits of the resend ledger that the store has refused.",
		func(s *view) float64 { return float64(s.Bridge.LedgerFailed) }),
	perApp(gauge, "bad_tokens", "Tokens that are answered without asking APNs.",
		func(app *bridge.AppStats) float64 { return float64(app.BadTokensListed) }),
	perApp(counter, "bad_tokens_evicted_total", "Tokens that were forgotten for want of room: limits.bad_token_entries.",
		func(app *bridge.AppStats) float64 { return float64(app.BadTokensEvicted) }),
}}

// appParts is a family with values for each app that has had something to do and what
// another label says.
func appParts(k kind, name, help, label string, values func(*bridge.AppStats) []part) family {
	return of(k, name, help, []string{"app", label}, func(s *view, to sink) {
		for _, app := range s.apps {
			for _, p := range values(app.AppStats) {
				to.set(p.value, app.name, p.name)
			}
		}
	})
}
