package config

import (
	"strings"
	"testing"
)

// A bound that is too high, or too low for a single notification, is refused with the nearest value that is not.
func TestExtremes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a huge count", "limits: {window: 99999999999999999999}",
			`limits.window is at most 1000000`},
		{"a huge duration", "limits: {drain: 99999999d}", `limits.drain is at most 1d`},
		{"a duration over ten minutes", "limits: {apns_dial_timeout: 11m}",
			`limits.apns_dial_timeout is at most 10m`},
		{"a huge token", "limits: {token_bytes: 32..99999999}",
			`limits.token_bytes is at most 1024`},
		{"a spool beyond any disk", "spool: {max_bytes: 99999999999999999999}",
			`spool.max_bytes is at most 1024TiB`},
		{"no room for a hello", "limits: {hello_bytes: 1}",
			`limits.hello_bytes is at least 2KiB: with less nothing gets through`},
		{"no time for a handshake", "limits: {handshake_timeout: 1ms}",
			`limits.handshake_timeout is at least 1s: with less nothing gets through`},
		{"no room for a notification", "limits: {queued_bytes: 1}",
			`limits.queued_bytes is at least 64KiB: with less nothing gets through`},
		{"no room for a payload in its frame", "limits: {frame2_bytes: 100}",
			`100 is less than payload_bytes, 4096: a framed notification has its payload within`},
		{"tokens shorter than any", "limits: {token_bytes: 1..20}", `limits.token_bytes ends at 20, ` +
			`and a device token has 32: write a range with it in, like 32..100`},
	} {
		text := strings.Replace(minimal, "apps:", tt.text+"\napps:", 1)
		if _, err := parse("f", []byte(text), environment); err == nil || err.Error() != "f:2: "+tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}
