package bridge

import (
	"math"
	"testing"
	"time"
)

func TestExpiration(t *testing.T) {
	now := time.Unix(1_800_000_000, 500)
	minute := now.Unix() + 60
	month := now.Unix() + 30*24*3600
	tests := []struct {
		name            string
		expiry          uint32
		header, expires int64
	}{
		{"0", 0, 0, minute},
		{"rpush's 86400", 86400, 0, minute},
		{"this second", 1_800_000_000, 0, minute},
		{"the next second", 1_800_000_001, 1_800_000_001, 1_800_000_001},
		{"an hour", 1_800_003_600, 1_800_003_600, 1_800_003_600},
		{"30 days", uint32(month), month, month},
		{"beyond 30 days", uint32(month + 1), month, month},
		{"java-apns", math.MaxInt32, month, month},
		{"PushSharp", math.MaxUint32, month, month},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header, expires := expiration(tt.expiry, time.Minute, now)
			if header != tt.header || expires != tt.expires {
				t.Errorf("got header %d, expires %d; want %d, %d", header, expires, tt.header, tt.expires)
			}
		})
	}
}
