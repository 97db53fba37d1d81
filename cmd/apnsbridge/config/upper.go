package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

const (
	minute = int64(time.Minute)
	day    = 24 * int64(time.Hour)
)

// upper has the highest values of bounds, in the units of their fields: beyond them a value
// is no bound at all, or a typing mistake. Rates have their own.
var upper = map[string]int64{
	"frame2_bytes": 16 << 20, "payload_bytes": 1<<16 - 1, "voip_payload_bytes": 1<<16 - 1,
	"token_bytes": 1024, // of one token; the feedback list takes no longer ones

	"loops": 64, "handshake_timeout": 5 * minute, "handshakes": 100_000, "handshakes_per_address": 100_000,
	"connections": 1_000_000, "connections_per_address": 1_000_000, "connections_per_client": 1_000_000,
	"app_connections_share": 100,
	"hello_bytes":           64 << 10, "unparsed_bytes": 1 << 20,
	"linger_idle": day, "linger_idle_pressure": 10 * minute, "linger_total": 7 * day, "drain": day,

	"window": 1_000_000, "queued_bytes": 64 << 30, "spool_ahead": 1 << 30,
	"waiting_devices": 10_000_000, // about 112 bytes each
	"topics_per_app":  100_000, "spool_reserve": 1 << 40, "spool_device_share": 100,

	"apns_connections": 1000, "apns_streams": 10_000, "apns_connection_age": 30 * day,
	"apns_dial_interval": 10 * minute,
	"apns_dial_timeout":  10 * minute, "apns_request_timeout": 10 * minute, "apns_ping_after": day,
	"apns_ping_timeout": 10 * minute,
	"retry_delay":       day, "retry_delay_max": day,

	"feedback_entries": 100_000_000, "feedback_age": 3650 * day, "feedback_stall": day, "feedback_total": day,
	"bad_token_ttl": 30 * day, "bad_token_ttl_repeated": 30 * day, "bad_token_entries": 100_000_000,
	"ledger_bytes": 64 << 30, "ledger_bytes_per_client": 64 << 30, "ledger_ttl": 30 * day, "ledger_ttl_proven": 30 * day,

	"fleet_lease": 10 * minute, "fleet_claim": 10 * minute, "fleet_link_bytes": 64 << 30,

	"trace_entries": 1_000_000, "admin_connections": 10_000, "log_rate": 64 << 20,
}

// mostSpool is as much as a file system can hold.
const mostSpool = 1 << 50

// checkUpper refuses bounds that are higher than upper allows.
func (l Limits) checkUpper(s *source) {
	fields := reflect.ValueOf(l)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("yaml")
		most, bounded := upper[name]
		if !bounded {
			continue
		}
		switch v := fields.Field(i).Interface().(type) {
		case Range:
			refuseOver(s, "limits."+name, int64(v.Max), most, fmt.Sprint(most))
		case Duration:
			refuseOver(s, "limits."+name, int64(v), most, inDays(most))
		case Size:
			refuseOver(s, "limits."+name, int64(v), most, Size(most).String())
		default:
			refuseOver(s, "limits."+name, fields.Field(i).Int(), most, fmt.Sprint(most))
		}
	}
}

func refuseOver(s *source, path string, value, most int64, text string) {
	if value > most {
		s.reject(path, "%s is at most %s", path, text)
	}
}

func inDays(d int64) string {
	if d >= day {
		return fmt.Sprintf("%dd", d/day)
	}
	text := time.Duration(d).String()
	if minutes, ok := strings.CutSuffix(text, "m0s"); ok {
		return minutes + "m"
	}
	return text
}
