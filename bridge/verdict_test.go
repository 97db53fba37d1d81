package bridge

import (
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

func TestJudge(t *testing.T) {
	reason := func(r string) string { return `{"reason":"` + r + `"}` }
	tests := []struct {
		code   int
		body   string
		class  class
		status binproto.Status
	}{
		{200, "", accepted, 0},
		{200, "<html>", accepted, 0},
		{400, reason("BadDeviceToken"), badToken, 8},
		{400, reason("DeviceTokenNotForTopic"), badToken, 8},
		{400, reason("MissingDeviceToken"), refused, 2},
		{400, reason("PayloadEmpty"), refused, 4},
		{413, reason("PayloadTooLarge"), refused, 7},
		{410, reason("Unregistered"), gone, 0},
		{410, reason("ExpiredToken"), gone, 0},
		{400, reason("BadPriority"), badPriority, 0},
		{400, reason("InvalidPushType"), badPushType, 0},
		{400, reason("BadExpirationDate"), badExpiration, 0},
		{400, reason("BadTopic"), held, 0},
		{400, reason("MissingTopic"), held, 0},
		{400, reason("TopicDisallowed"), held, 0},
		{403, reason("BadCertificate"), held, 0},
		{403, reason("BadCertificateEnvironment"), held, 0},
		{403, reason("Forbidden"), held, 0},
		{403, reason("InvalidProviderToken"), held, 0},
		{403, reason("MissingProviderToken"), held, 0},
		{403, reason("BadEnvironmentKeyIdInToken"), held, 0},
		{403, reason("ExpiredProviderToken"), staleToken, 0},
		{403, reason("UnrelatedKeyIdInToken"), staleToken, 0},
		{429, reason("TooManyProviderTokenUpdates"), tokenUpdates, 0},
		{429, reason("TooManyRequests"), throttled, 0},
		{500, reason("InternalServerError"), unavailable, 0},
		{503, reason("ServiceUnavailable"), unavailable, 0},
		{503, reason("Shutdown"), unsent, 0},
		{502, reason("Whatever"), unavailable, 0},
		{502, "<html>", unavailable, 0},
		{400, "<html>", unavailable, 0},
		{400, "", unavailable, 0},
		{410, "<html>gone</html>", unavailable, 0},
		{410, `{"reason":""}`, unavailable, 0},
		{410, `{"reason":7}`, unavailable, 0},
		{400, `null`, unavailable, 0},
		{400, reason("SomethingNew"), unknown, 0},
		{403, reason("SomethingNew"), unknown, 0},
		{410, reason("BadDeviceToken"), unknown, 0},
		{200 + 1, reason("BadDeviceToken"), unknown, 0},
		{404, reason("BadPath"), unknown, 0},
		{400, ` {"timestamp":1, "other":[{}], "reason":"BadDeviceToken"} ` + "\n", badToken, 8},
		{400, strings.Repeat("[", 5000), unavailable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.body[:min(len(tt.body), 60)], func(t *testing.T) {
			got := judge(tt.code, []byte(tt.body))
			if got.class != tt.class || got.status != tt.status || got.code != tt.code {
				t.Errorf("%d: got class %d, status %d, code %d; want class %d, status %d", tt.code, got.class, got.status, got.code, tt.class, tt.status)
			}
		})
	}
}

func TestTimestamps(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	sent := time.UnixMilli(1_799_999_990_250).UTC()
	tests := []struct {
		name, timestamp string
		want            time.Time
	}{
		{"milliseconds", `,"timestamp":1700000000123`, time.UnixMilli(1_700_000_000_123)},
		{"seconds", `,"timestamp":1700000000`, time.Unix(1_700_000_000, 0)},
		{"a string", `,"timestamp":"1700000000123"`, time.UnixMilli(1_700_000_000_123)},
		{"a fraction", `,"timestamp":1700000000123.75`, time.UnixMilli(1_700_000_000_123)},
		{"an exponent", `,"timestamp":1.7e12`, time.UnixMilli(1_700_000_000_000)},
		{"none", ``, sent},
		{"null", `,"timestamp":null`, sent},
		{"0", `,"timestamp":0`, sent},
		{"negative", `,"timestamp":-5`, sent},
		{"words", `,"timestamp":"yesterday"`, sent},
		{"an object", `,"timestamp":{}`, sent},
		{"not a number", `,"timestamp":"NaN"`, sent},
		{"too large", `,"timestamp":1e300`, sent},
		{"tomorrow", `,"timestamp":1800086400000`, sent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(410, []byte(`{"reason":"Unregistered"`+tt.timestamp+`}`))
			if v.class != gone {
				t.Fatalf("got class %d", v.class)
			}
			if got := v.goneAt(sent, now); !got.Equal(tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
