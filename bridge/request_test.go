package bridge

import (
	"math"
	"testing"
	"time"

	"apnsbridge/bridge/upstream"
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

func TestAmend(t *testing.T) {
	tests := []struct {
		name      string
		class     upstream.Class
		give, got upstream.Request
	}{
		{"priority 10", upstream.BadPriority, upstream.Request{PushType: "alert", Priority: 10}, upstream.Request{PushType: "alert", Priority: 5}},
		{"priority 5", upstream.BadPriority, upstream.Request{PushType: "alert", Priority: 5}, upstream.Request{PushType: "alert", Priority: 10}},
		{"priority 1", upstream.BadPriority, upstream.Request{PushType: "alert", Priority: 1}, upstream.Request{PushType: "alert", Priority: 10}},
		{"alert", upstream.BadPushType, upstream.Request{PushType: "alert", Priority: 10}, upstream.Request{PushType: "background", Priority: 5}},
		{"background", upstream.BadPushType, upstream.Request{PushType: "background", Priority: 5}, upstream.Request{PushType: "alert", Priority: 10}},
		{"voip", upstream.BadPushType, upstream.Request{PushType: "voip", Priority: 10}, upstream.Request{PushType: "alert", Priority: 10}},
		{"expiration", upstream.BadExpiration, upstream.Request{Expiration: 77}, upstream.Request{Expiration: upstream.NoExpiration}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.give
			amend(&got, tt.class)
			if got != tt.got {
				t.Errorf("got %+v, want %+v", got, tt.got)
			}
		})
	}
}
