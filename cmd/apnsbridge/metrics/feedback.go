package metrics

import "apnsbridge/bridge"

var feedback = group{"Feedback", []family{
	perApp(counter, "feedback_recorded_total", "Devices put on the app's feedback list.",
		func(app *bridge.AppStats) float64 { return float64(app.Feedback) }),
	perApp(counter, "feedback_revived_total", "Devices taken off it, because APNs took a push to them again.",
		func(app *bridge.AppStats) float64 { return float64(app.Revived) }),
	perApp(counter, "feedback_lost_total", "Devices that could not be put on it before the end.",
		func(app *bridge.AppStats) float64 { return float64(app.FeedbackLost) }),
	whole(gauge, "feedback_entries", "Devices on the lists of all apps.",
		func(s *view) float64 { return float64(s.Store.FeedbackEntries) }),
	parts(counter, "feedback_forgotten_total", "Devices that left a list unread: for want of room, or for their age.",
		"reason", func(s *view) []part {
			return []part{{"full", float64(s.Store.FeedbackEvicted)}, {"age", float64(s.Store.FeedbackExpired)}}
		}),
	whole(gauge, "feedback_given", "Devices that were given to readers and can be given again.",
		func(s *view) float64 { return float64(s.Store.Given) }),
	parts(counter, "feedback_given_forgotten_total", "Devices that cannot be given again any more: for want of room, or "+
		"for their age.", "reason", func(s *view) []part {
		return []part{{"full", float64(s.Store.GivenEvicted)}, {"age", float64(s.Store.GivenExpired)}}
	}),
	whole(gauge, "feedback_unwritten", "Devices on their way to the store.",
		func(s *view) float64 { return float64(s.Bridge.FeedbackWait) }),
	whole(gauge, "feedback_readers", "Readers being served.",
		func(s *view) float64 { return float64(s.Feedback.Readers) }),
	parts(counter, "feedback_reads_total", "Readers by how it ended: confirmed, if the list was read to its end; "+
		"broken, stalled or otherwise unconfirmed, and the list is given again; too often, and nothing was given.",
		"result", func(s *view) []part {
			f := &s.Feedback
			return []part{{"confirmed", float64(f.Confirmed)}, {"broken", float64(f.Broken)},
				{"stalled", float64(f.Stalled)}, {"unconfirmed", float64(f.Unconfirmed - min(f.Unconfirmed, f.Broken+f.Stalled))},
				{"too_often", float64(f.TooOften)}}
		}),
	whole(counter, "feedback_tuples_written_total", "Devices written to readers, who may not have read them.",
		func(s *view) float64 { return float64(s.Feedback.Tuples) }),
	whole(counter, "feedback_written_bytes_total", "Bytes written to readers.",
		func(s *view) float64 { return float64(s.Feedback.Bytes) }),
	whole(gauge, "feedback_clients_paced", "Readers whose rate is known: limits.feedback_rate_per_client.",
		func(s *view) float64 { return float64(s.Feedback.ClientsPaced) }),
}}
