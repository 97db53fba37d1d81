package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"apnsbridge/bridge"
)

var notifications = group{"Notifications", []family{
	perLane(counter, "notifications_taken_total", "Notifications that providers have sent in good frames.",
		func(l *bridge.LaneStats) float64 { return float64(l.Taken) }),
	of(counter, "notifications_total", "Notifications by what became of them. The reason is APNs' word, or one of "+
		"the gateway's own; it is empty where the outcome says it all.",
		append(laneLabels[:2:2], "outcome", "reason"), func(s *view, to sink) {
			eachLane(s, func(app, environment string, l *bridge.LaneStats) {
				to.set(float64(l.Accepted), app, environment, "accepted", "")
				for _, ending := range slices.SortedFunc(maps.Keys(l.Endings), func(a, b bridge.Ending) int {
					return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Reason, b.Reason))
				}) {
					outcome, reason := outcomeOf(ending)
					to.set(float64(l.Endings[ending]), app, environment, outcome, reason)
				}
			})
		}),
	laneParts(gauge, "notifications_waiting", "Notifications without a verdict, by place: in memory, which is with "+
		"APNs too, or on disk.", "place",
		func(l *bridge.LaneStats) []part {
			w := l.Waiting
			return []part{{"memory", float64(w.Notifications - w.OnDisk)}, {"disk", float64(w.OnDisk)}}
		}),
	of(gauge, "notifications_oldest_waiting_age_seconds", "How long ago the oldest of them was taken; 0 if none waits "+
		"for longer than a moment.", laneLabels, func(s *view, to sink) {
		eachLane(s, func(app, environment string, l *bridge.LaneStats) {
			to.set(age(s.Bridge.Now, l.Waiting.Oldest), app, environment)
		})
	}),
	timed("notification_verdict_duration_seconds", "Time from a notification's being taken to APNs' verdict on it.",
		func(t *bridge.Times) *histogram { return &t.Verdict }),
	timed("notification_queue_duration_seconds", "Age of a notification when it went to APNs for that verdict.",
		func(t *bridge.Times) *histogram { return &t.Queue }),
	timed("apns_answer_duration_seconds", "Time from an attempt to APNs' answer, whatever it was.",
		func(t *bridge.Times) *histogram { return &t.Answer }),
	perLane(counter, "notifications_retried_total", "Attempts after a notification's first.",
		func(l *bridge.LaneStats) float64 { return float64(l.Retried) }),
	perLane(counter, "notifications_ambiguous_total", "Attempts after one without an answer: these may double.",
		func(l *bridge.LaneStats) float64 { return float64(l.Ambiguous) }),
	perLane(counter, "notifications_replayed_total", "Notifications that were read from the spool.",
		func(l *bridge.LaneStats) float64 { return float64(l.Replayed) }),
	perLane(counter, "notifications_over_rate_total", "Notifications behind which a connection was not read for a "+
		"while: limits.notification_rate_per_client.",
		func(l *bridge.LaneStats) float64 { return float64(l.OverRate) }),
	perLane(counter, "notification_items_skipped_total", "Items of framed notifications whose identifier is unknown.",
		func(l *bridge.LaneStats) float64 { return float64(l.SkippedItems) }),
	perLane(gauge, "notifications_unwritten", "Notifications on their way to the spool.",
		func(l *bridge.LaneStats) float64 { return float64(l.Unwritten) }),
	perLane(gauge, "spool_ahead_bytes", "Notifications read from the spool and without a verdict: limits.spool_ahead.",
		func(l *bridge.LaneStats) float64 { return float64(l.AheadBytes) }),
	laneParts(gauge, "devices_waiting", "Devices whose notifications wait: until APNs serves the app or topic (door), "+
		"or each for itself (retry).", "reason",
		func(l *bridge.LaneStats) []part {
			return []part{{"door", float64(l.AtDoor)}, {"retry", float64(l.Asleep - l.AtDoor)}}
		}),
	perLane(gauge, "door_closed", "1 while notifications wait for APNs to serve the app or one of its topics.",
		func(l *bridge.LaneStats) float64 { return float64(min(1, l.ClosedSince)) }),
	perLane(gauge, "topics_refused", "Topics that APNs does not serve at present.",
		func(l *bridge.LaneStats) float64 { return float64(l.TopicsShut) }),
	perLane(counter, "door_probes_total", "Notifications sent to find out whether APNs serves again.",
		func(l *bridge.LaneStats) float64 { return float64(l.Probes) }),
	of(gauge, "app_troubled", "1 for each app whose notifications APNs does not take; /readyz says why.",
		[]string{"app"}, func(s *view, to sink) {
			for _, app := range slices.Sorted(maps.Keys(s.Troubles)) {
				to.set(1, app)
			}
		}),
}}

// outcomeOf gives an ending as the labels have it.
func outcomeOf(e bridge.Ending) (outcome, reason string) {
	outcome = [...]string{
		bridge.Malformed: "malformed", bridge.DryRun: "dry_run", bridge.BadToken: "bad_token", bridge.Listed: "bad_token",
		bridge.Refused:      "refused",
		bridge.Unregistered: "unregistered", bridge.Unknown: "unknown", bridge.Expired: "expired",
		bridge.Dropped: "given_up", bridge.Crowded: "given_up", bridge.Unreadable: "given_up", bridge.Abandoned: "abandoned",
	}[e.Outcome]
	switch e.Outcome {
	case bridge.Listed:
		return outcome, "refused_before"
	case bridge.Crowded:
		return outcome, "crowded"
	case bridge.Unreadable:
		return outcome, "unreadable"
	}
	return outcome, strings.ReplaceAll(e.Reason, " ", "_")
}

// Words are an ending as a person reads it.
func Words(e bridge.Ending) string {
	outcome, reason := outcomeOf(e)
	if outcome = strings.ReplaceAll(outcome, "_", " "); reason == "" {
		return outcome
	}
	return outcome + ": " + strings.ReplaceAll(reason, "_", " ")
}

// age is how long before now a time was, both in seconds since 1970; 0 for none.
func age(now, then int64) float64 {
	if then == 0 {
		return 0
	}
	return float64(max(0, now-then))
}
