package upstream

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
		class  Class
		status binproto.Status
	}{
		{200, "", Accepted, 0},
		{200, "<html>", Accepted, 0},
		{400, reason("BadDeviceToken"), BadToken, 8},
		{400, reason("DeviceTokenNotForTopic"), BadToken, 8},
		{400, reason("MissingDeviceToken"), Refused, 2},
		{400, reason("PayloadEmpty"), Refused, 4},
		{413, reason("PayloadTooLarge"), Refused, 7},
		{410, reason("Unregistered"), Gone, 0},
		{410, reason("ExpiredToken"), Gone, 0},
		{400, reason("BadPriority"), BadPriority, 0},
		{400, reason("InvalidPushType"), BadPushType, 0},
		{400, reason("BadExpirationDate"), BadExpiration, 0},
		{400, reason("BadTopic"), TopicRefused, 0},
		{400, reason("MissingTopic"), TopicRefused, 0},
		{400, reason("TopicDisallowed"), TopicRefused, 0},
		{403, reason("BadCertificate"), CredentialRefused, 0},
		{403, reason("BadCertificateEnvironment"), CredentialRefused, 0},
		{403, reason("Forbidden"), CredentialRefused, 0},
		{403, reason("InvalidProviderToken"), CredentialRefused, 0},
		{403, reason("MissingProviderToken"), CredentialRefused, 0},
		{403, reason("BadEnvironmentKeyIdInToken"), CredentialRefused, 0},
		{403, reason("ExpiredProviderToken"), StaleToken, 0},
		{403, reason("UnrelatedKeyIdInToken"), StaleToken, 0},
		{429, reason("TooManyProviderTokenUpdates"), TokenUpdates, 0},
		{429, reason("TooManyRequests"), Throttled, 0},
		{500, reason("InternalServerError"), ServerError, 0},
		{503, reason("ServiceUnavailable"), ServerError, 0},
		{503, reason("Shutdown"), Unprocessed, 0},
		{502, reason("Whatever"), ServerError, 0},
		{502, "<html>", ServerError, 0},
		{400, "<html>", ServerError, 0},
		{400, "", ServerError, 0},
		{410, "<html>gone</html>", ServerError, 0},
		{410, `{"reason":""}`, ServerError, 0},
		{410, `{"reason":7}`, ServerError, 0},
		{400, `null`, ServerError, 0},
		{400, reason("SomethingNew"), Unknown, 0},
		{403, reason("SomethingNew"), Unknown, 0},
		{410, reason("BadDeviceToken"), Unknown, 0},
		{200 + 1, reason("BadDeviceToken"), Unknown, 0},
		{404, reason("BadPath"), Unknown, 0},
		{400, ` {"timestamp":1, "other":[{}], "reason":"BadDeviceToken"} ` + "\n", BadToken, 8},
		{400, strings.Repeat("[", 5000), ServerError, 0},
	}
	for _, tt := range tests {
		t.Run(tt.body[:min(len(tt.body), 60)], func(t *testing.T) {
			got := judge(tt.code, []byte(tt.body))
			if got.Class != tt.class || got.Status != tt.status || got.Code != tt.code {
				t.Errorf("%d: got class %d, status %d, code %d; want class %d, status %d", tt.code, got.Class, got.Status, got.Code, tt.class, tt.status)
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
			if v.Class != Gone {
				t.Fatalf("got class %d", v.Class)
			}
			if got := v.GoneAt(sent, now); !got.Equal(tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
