package metrics

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
)

var configuration = group{"Configuration and certificates", []family{
	of(gauge, "build_info", "1, for the version that runs.", []string{"version", "goversion"},
		func(s *view, to sink) { to.set(1, s.Version, runtime.Version()) }),
	of(gauge, "credential_expiry_timestamp_seconds", "When the app's push certificate expires. The keys of provider "+
		"tokens do not.", []string{"app"}, func(s *view, to sink) {
		for _, app := range slices.Sorted(maps.Keys(s.Credentials)) {
			to.set(float64(s.Credentials[app].Unix()), app)
		}
	}),
	of(gauge, "certificate_expiry_timestamp_seconds", "When a certificate that the gateway shows expires, by the section "+
		"of the configuration that names it.", []string{"section"}, func(s *view, to sink) {
		for _, section := range slices.Sorted(maps.Keys(s.Certificates)) {
			to.set(float64(s.Certificates[section].Unix()), section)
		}
	}),
	parts(counter, "reloads_total", "Configurations that were read while the gateway ran.", "result",
		func(s *view) (all []part) {
			for _, result := range slices.Sorted(maps.Keys(s.Reloads.Configurations)) {
				all = append(all, part{result, float64(s.Reloads.Configurations[result])})
			}
			return all
		}),
	of(counter, "certificate_reloads_total", "Server certificates whose files had changed, by the section that names "+
		"them. A reload of the configuration reads them too, and is not counted here.", []string{"section", "result"},
		func(s *view, to sink) {
			for _, of := range slices.SortedFunc(maps.Keys(s.Reloads.Certificates), func(a, b SectionResult) int {
				return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Result, b.Result))
			}) {
				to.set(float64(s.Reloads.Certificates[of]), of.Section, of.Result)
			}
		}),
	whole(gauge, "configuration_loaded_timestamp_seconds", "When the present configuration was read.",
		func(s *view) float64 { return float64(s.Reloads.Loaded) }),
	whole(gauge, "last_reload_refused", "1 if the last reload was refused: the files are not what the gateway goes by.",
		func(s *view) float64 {
			if s.Reloads.Refused {
				return 1
			}
			return 0
		}),
}}

var process = group{"The process", []family{
	of(gauge, "limit", "A bound, by its name in the configuration.", []string{"limit"}, func(s *view, to sink) {
		for _, l := range s.Limits {
			to.set(float64(l.Max), l.Name)
		}
	}),
	of(gauge, "limit_used", "What is used of it; of a bound per address, client or app, what the busiest uses.",
		[]string{"limit"}, func(s *view, to sink) {
			for _, l := range s.Limits {
				to.set(float64(l.Used), l.Name)
			}
		}),
	whole(gauge, "notifications_unsettled", "Notifications in memory without a verdict, or on their way to the feedback "+
		"list.", func(s *view) float64 { return float64(s.Bridge.Unsettled) }),
	whole(gauge, "sessions", "Connections of providers that are open, or have notifications without a verdict.",
		func(s *view) float64 { return float64(s.Bridge.Sessions) }),
	whole(gauge, "clients", "Providers that are connected, or of which something is remembered.",
		func(s *view) float64 { return float64(s.Bridge.Clients) }),
	whole(gauge, "ledger_unwritten", "Records of the resend ledger on their way to the store, and packets that wait for "+
		"them.", func(s *view) float64 { return float64(s.Bridge.LedgerWait) }),
	parts(counter, "admin_refused_total", "Requests and connections that the admin port has refused.", "reason",
		func(s *view) []part {
			a := &s.Admin
			return []part{{"connections", float64(a.OverLimit)}, {"handshake", float64(a.HandshakesFailed)},
				{"unauthorized", float64(a.Unauthorized)}, {"forbidden", float64(a.Forbidden)}}
		}),
	whole(counter, "log_lines_total", "Lines written to the log.",
		func(s *view) float64 { return float64(s.Log.Lines) }),
	whole(counter, "log_bytes_total", "Bytes written to the log.",
		func(s *view) float64 { return float64(s.Log.Bytes) }),
	whole(gauge, "log_queued_bytes", "Lines that wait for the log's reader; 1 MiB at most.",
		func(s *view) float64 { return float64(s.Log.Queued) }),
	parts(counter, "log_lines_lost_total", "Lines that are not in the log, or not whole: its reader stalls, "+
		"limits.log_rate, or too long.", "reason", func(s *view) []part {
		l := &s.Log
		return []part{{"reader", float64(l.Dropped)}, {"log_rate", float64(l.OverRate)}, {"cut", float64(l.Cut)}}
	}),
}}
