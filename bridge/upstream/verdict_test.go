package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
)

// judgement is how an answer should be judged.
type judgement struct {
	code   int
	body   string
	class  Class
	status binproto.Status
	leave  bool
}

// judgements are the verdicts on what APNs is known to say, written down a second time: the table
// is the implementation, this is the specification.
var judgements = []judgement{
	{200, "", Accepted, 0, false},
	{200, "<html>", Accepted, 0, false},
	{400, said("BadCollapseId"), Unknown, 0, false},
	{400, said("BadDeviceToken"), BadToken, 8, false},
	{400, said("BadExpirationDate"), BadExpiration, 0, false},
	{400, said("BadMessageId"), Unknown, 0, false},
	{400, said("BadPriority"), BadPriority, 0, false},
	{400, said("BadTopic"), TopicRefused, 0, false},
	{400, said("DeviceTokenNotForTopic"), BadToken, 8, false},
	{400, said("DuplicateHeaders"), Unknown, 0, false},
	{400, said("IdleTimeout"), ServerError, 0, true},
	{400, said("InvalidPushType"), BadPushType, 0, false},
	{400, said("MissingDeviceToken"), Refused, 2, false},
	{400, said("MissingTopic"), TopicRefused, 0, false},
	{400, said("PayloadEmpty"), Refused, 4, false},
	{400, said("TopicDisallowed"), TopicRefused, 0, false},
	{403, said("BadCertificate"), CredentialRefused, 0, false},
	{403, said("BadCertificateEnvironment"), CredentialRefused, 0, false},
	{403, said("BadEnvironmentKeyIdInToken"), CredentialRefused, 0, false},
	{403, said("BadEnvironmentKeyInToken"), CredentialRefused, 0, false},
	{403, said("ExpiredProviderToken"), StaleToken, 0, false},
	{403, said("Forbidden"), CredentialRefused, 0, false},
	{403, said("InvalidProviderToken"), CredentialRefused, 0, false},
	{403, said("MissingProviderToken"), CredentialRefused, 0, false},
	{403, said("UnrelatedKeyIdInToken"), Unprocessed, 0, true},
	{404, said("BadPath"), ServerError, 0, true},
	{405, said("MethodNotAllowed"), ServerError, 0, true},
	{410, said("ExpiredToken"), Gone, 0, false},
	{410, said("Unregistered"), Gone, 0, false},
	{413, said("PayloadTooLarge"), Refused, 7, false},
	{429, said("TooManyProviderTokenUpdates"), TokenUpdates, 0, false},
	{429, said("TooManyRequests"), Throttled, 0, false},
	{500, said("InternalServerError"), ServerError, 0, false},
	{503, said("ServiceUnavailable"), ServerError, 0, false},
	{503, said("Shutdown"), Unprocessed, 0, true},

	// Reasons and statuses that may come, and known reasons with another status.
	{400, said("SomethingNew"), Unknown, 0, false},
	{400, said("Unregistered"), Unknown, 0, false},
	{400, said("PayloadTooLarge"), Unknown, 0, false},
	{401, said("SomethingNew"), CredentialRefused, 0, false},
	{403, said("SomethingNew"), CredentialRefused, 0, false},
	{403, said("BadDeviceToken"), CredentialRefused, 0, false},
	{404, said("SomethingNew"), ServerError, 0, true},
	{405, said("SomethingNew"), ServerError, 0, true},
	{407, said("SomethingNew"), ServerError, 0, true},
	{410, said("BadDeviceToken"), Unknown, 0, false},
	{413, said("SomethingNew"), Unknown, 0, false},
	{421, said("SomethingNew"), ServerError, 0, true},
	{429, said("SomethingNew"), ServerError, 0, false},
	{502, said("Whatever"), ServerError, 0, false},
	{599, said("Unregistered"), ServerError, 0, false},
	{201, said("BadDeviceToken"), ServerError, 0, true},
	{302, said("BadDeviceToken"), ServerError, 0, true},

	// These answers are not from APNs.
	{502, "<html>", ServerError, 0, true},
	{403, "<html>", ServerError, 0, true},
	{400, "", ServerError, 0, true},
	{410, "<html>gone</html>", ServerError, 0, true},
	{410, `{"reason":""}`, ServerError, 0, true},
	{410, `{"reason":7}`, ServerError, 0, true},
	{400, `null`, ServerError, 0, true},
	{400, strings.Repeat("[", 5000), ServerError, 0, true},

	{400, ` {"timestamp":1, "other":[{}], "reason":"BadDeviceToken"} ` + "\n", BadToken, 8, false},
}

// said returns the body of an answer with a reason.
func said(word string) string { return `{"reason":"` + word + `"}` }

func TestJudge(t *testing.T) {
	covered := make(map[*answer]bool)
	for _, tt := range judgements {
		t.Run(fmt.Sprint(tt.code, tt.body[:min(len(tt.body), 60)]), func(t *testing.T) {
			got := judge(tt.code, []byte(tt.body))
			if got.Class != tt.class || got.Status != tt.status || got.Code != tt.code || got.leave != tt.leave {
				t.Errorf("got %+v, want %v, status %d, leave %v", got, tt.class, tt.status, tt.leave)
			}
			if got.Reason != wordless.means {
				covered[find(tt.code, got.Reason)] = true
			}
		})
	}
	for i := range answers {
		if a := &answers[i]; !covered[a] && a.code != 200 {
			t.Errorf("no test for %d %q", a.code, a.reason)
		}
	}
}

// A body as APNs writes it is known by its bytes, without a look at the JSON, and means the same.
func TestJudgeAsWritten(t *testing.T) {
	for _, a := range answers {
		for _, code := range []int{a.code, 400, 403, 410, 429, 503} {
			body := []byte(said(a.reason))
			if got, want := judge(code, body), judge(code, append(body, '\n')); got != want {
				t.Errorf("%d %s: %+v, but with a line end behind it %+v", code, body, got, want)
			}
		}
	}
	throttled := []byte(said("TooManyRequests"))
	if n := testing.AllocsPerRun(1000, func() { judge(429, throttled) }); n != 0 {
		t.Errorf("%v allocations to judge one that is throttled", n)
	}
}

// Ten invented reasons for each status: none blames the provider or the device, and none is taken
// for a delivery.
func TestJudgeInventedWords(t *testing.T) {
	for code := 100; code < 600; code++ {
		for i := range 10 {
			word := fmt.Sprintf("Bad%cThing", 'A'+i)
			v := judge(code, []byte(`{"reason":"`+word+`","timestamp":1}`))
			if code == 200 {
				continue
			}
			switch v.Class {
			case CredentialRefused, ServerError, Unknown:
			default:
				t.Fatalf("%d %s is %v", code, word, v.Class)
			}
			if v.Reason != word || v.Status != 0 {
				t.Fatalf("%d %s became %+v", code, word, v)
			}
		}
	}
}

// The reason in a GOAWAY is a verdict on the pushes under way only if any other push would get the
// same one.
func TestJudgeGoAway(t *testing.T) {
	judged := map[string]Class{
		"BadCertificate": CredentialRefused, "BadCertificateEnvironment": CredentialRefused,
		"BadEnvironmentKeyIdInToken": CredentialRefused, "BadEnvironmentKeyInToken": CredentialRefused, "Forbidden": CredentialRefused,
		"InvalidProviderToken": CredentialRefused, "MissingProviderToken": CredentialRefused,
		"ExpiredProviderToken": StaleToken, "TooManyProviderTokenUpdates": TokenUpdates,
		"BadTopic": TopicRefused, "MissingTopic": TopicRefused, "TopicDisallowed": TopicRefused,
		"InternalServerError": ServerError, "ServiceUnavailable": ServerError,
	}
	for _, a := range answers {
		if a.reason == "" {
			continue
		}
		got, ok := judgeGoAway(`{"reason":"` + a.reason + `"}`)
		want := judged[a.reason]
		if ok != (want != 0) || got.Class != want || ok && (got.Reason != a.reason || got.Code != a.code || got.Status != 0) {
			t.Errorf("%s: got %+v, %v; want %v", a.reason, got, ok, want)
		}
		delete(judged, a.reason)
	}
	if len(judged) > 0 {
		t.Errorf("the table does not have %v", judged)
	}
	for _, debug := range []string{"", "<html>", `{"reason":""}`, `{"reason":"SomethingNew"}`, "Forbidden?"} {
		if got, ok := judgeGoAway(debug); ok {
			t.Errorf("%q became %+v", debug, got)
		}
	}
}

// Text from outside is clipped, and cannot break a line.
func TestWordsAreClipped(t *testing.T) {
	v := judge(400, []byte(`{"reason":"`+strings.Repeat(`a\n`, 1000)+`"}`))
	if len(v.Reason) > maxWord+len("…") || strings.ContainsAny(v.Reason, "\n") {
		t.Errorf("got %d bytes: %q", len(v.Reason), v.Reason)
	}
	if got := goAwayReason(strings.Repeat("\xff\x1b", 500)); len(got) > 3*maxWord || strings.ContainsRune(got, '\x1b') {
		t.Errorf("got %q", got)
	}
}

// The simulator has the reasons that the table knows, with the same statuses, and no others.
func TestSimulatorSaysWhatTheTableKnows(t *testing.T) {
	said := make(map[answerKey]bool)
	for reason, status := range apnssim.Reasons() {
		if reason == "" {
			continue
		}
		key := answerKey{status, string(reason)}
		said[key] = true
		if answersBy.byReason[key] == nil {
			t.Errorf("the table does not have %d %s", status, reason)
		}
	}
	for _, a := range answers {
		if a.reason != "" && !said[answerKey{a.code, a.reason}] {
			t.Errorf("the simulator does not have %d %s", a.code, a.reason)
		}
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
