package config

import "time"

// lower has the values of bounds below which nothing gets through, in the units of their
// fields. Other bounds may be small: that is slow but works.
var lower = map[string]int64{
	"hello_bytes":       2 << 10, // the hello of Go's TLS does not fit into 1 KiB
	"handshake_timeout": int64(time.Second),
	"queued_bytes":      64 << 10, // an app has a share of it, into which a notification must fit
}

// tokenBytes is the length of the tokens that APNs has given out since 2009.
const tokenBytes = 32

// checkLower refuses bounds with which no provider gets a notification through.
func (l Limits) checkLower(s *source) {
	refuseUnder(s, "hello_bytes", int64(l.HelloBytes), func(n int64) string { return Size(n).String() })
	refuseUnder(s, "queued_bytes", int64(l.QueuedBytes), func(n int64) string { return Size(n).String() })
	refuseUnder(s, "handshake_timeout", int64(l.HandshakeTimeout), inDays)
	if l.TokenBytes.Max < tokenBytes {
		s.reject("limits.token_bytes", "limits.token_bytes ends at %d, and a device token has %d: write a range with it "+
			"in, like 32..100", l.TokenBytes.Max, tokenBytes)
	}
	if low, high := l.PayloadBytes, l.VoIPPayloadBytes; high < low {
		s.reject("limits.voip_payload_bytes", "%d is less than payload_bytes, %d: voip pushes may be larger, not "+
			"smaller", high, low)
	}
	if low, high := l.PayloadBytes, l.Frame2Bytes; high < low {
		s.reject("limits.frame2_bytes", "%d is less than payload_bytes, %d: a framed notification has its payload within",
			high, low)
	}
}

func refuseUnder(s *source, name string, value int64, text func(int64) string) {
	if least := lower[name]; value < least {
		s.reject("limits."+name, "limits.%s is at least %s: with less nothing gets through", name, text(least))
	}
}
