package bridge

import (
	"math"
	"regexp"
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

func TestUUID(t *testing.T) {
	u := uuid{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got, want := u.String(), "00112233-4455-6677-8899-aabbccddeeff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	version4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		s := newUUID().String()
		if !version4.MatchString(s) || seen[s] {
			t.Fatalf("%s is no new version 4 UUID", s)
		}
		seen[s] = true
	}
}

func TestAmend(t *testing.T) {
	tests := []struct {
		name      string
		class     class
		give, got request
	}{
		{"priority 10", badPriority, request{pushType: "alert", priority: 10}, request{pushType: "alert", priority: 5}},
		{"priority 5", badPriority, request{pushType: "alert", priority: 5}, request{pushType: "alert", priority: 10}},
		{"priority 1", badPriority, request{pushType: "alert", priority: 1}, request{pushType: "alert", priority: 10}},
		{"alert", badPushType, request{pushType: "alert", priority: 10}, request{pushType: "background", priority: 5}},
		{"background", badPushType, request{pushType: "background", priority: 5}, request{pushType: "alert", priority: 10}},
		{"voip", badPushType, request{pushType: "voip", priority: 10}, request{pushType: "alert", priority: 10}},
		{"expiration", badExpiration, request{expiration: 77}, request{expiration: noExpiration}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.give
			got.amend(tt.class)
			if got != tt.got {
				t.Errorf("got %+v, want %+v", got, tt.got)
			}
		})
	}
}
