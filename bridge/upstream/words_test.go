package upstream

import (
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// A verdict can be named in a word or in a line. Text from outside is not taken for a reason of APNs.
func TestVerdictWords(t *testing.T) {
	const after = 3 * time.Second
	for _, tt := range []struct {
		v               Verdict
		word, why, told string
	}{
		{Verdict{Class: Accepted, Code: 200}, "", "accepted", "200 after 3s"},
		{Verdict{Class: Accepted, Code: 200, UniqueID: "A-1"}, "", "accepted", "200 after 3s, apns-unique-id A-1"},
		{Verdict{Class: BadToken, Code: 400, Reason: "BadDeviceToken"}, "BadDeviceToken", "BadDeviceToken", "400 BadDeviceToken after 3s"},
		{Verdict{Class: BadToken, Code: 403, Reason: "BadDeviceToken"}, "", "bad token", "403 BadDeviceToken after 3s"},
		{Verdict{Class: ServerError, Code: 502, Reason: "nginx\n"}, "", "server error", "502 nginx? after 3s"},
		{Verdict{Class: NoAnswer, Reason: "connection reset"}, "", "no answer", "no answer after 3s: connection reset"},
		{Verdict{Class: NoConnection, Reason: "refused"}, "", "no connection", "there is no connection to APNs: refused"},
		{Verdict{}, "", "no class", "no answer after 3s: "},
		{Verdict{Class: Unknown + 1}, "", "no class", "no answer after 3s: "},
	} {
		if word, why, told := tt.v.Word(), tt.v.Why(), tt.v.Told(after); word != tt.word || why != tt.why || told != tt.told {
			t.Errorf("%+v: word %q, why %q, told %q", tt.v, word, why, told)
		}
	}
	if got := (Verdict{Reason: strings.Repeat("x", maxWords+1)}).Words(); len(got) != maxWords+len("…") {
		t.Errorf("got %d bytes of text from outside", len(got))
	}
}

// Refusal gives the verdict for a reason that was stored.
func TestRefusal(t *testing.T) {
	if v := Refusal("BadDeviceToken"); v.Class != BadToken || v.Code != 400 || v.Status != binproto.InvalidToken {
		t.Errorf("%+v", v)
	}
	for _, word := range []string{"", "SomethingNew"} {
		if v := Refusal(word); v.Class != Unknown || v.Code != 0 || v.Reason != word {
			t.Errorf("%q: %+v", word, v)
		}
	}
}

// What the operator can do depends on how the app is configured.
func TestAdviceOfTheApp(t *testing.T) {
	pair, err := certificateCredential(append(pki().Client.CertPEM, pki().Client.KeyPEM...), "")
	if err != nil {
		t.Fatal(err)
	}
	key := tokenCredential(t)
	for name, tt := range map[string]struct {
		q    Question
		code int
		word string
		want string
	}{
		"a certificate":      {Question{Credential: pair}, 400, "DeviceTokenNotForTopic", "token of another app than " + topic},
		"its topic":          {Question{Credential: pair, Topic: "com.example.chat"}, 400, "TopicDisallowed", topicOfPair},
		"a key":              {Question{Credential: key, Topic: topic}, 400, "TopicDisallowed", topicOfKey},
		"one of several":     {Question{Credential: key, Topic: topic, Scoped: true}, 400, "TopicDisallowed", topicOfKeys},
		"MDM":                {Question{Credential: key, Topic: "com.apple.mgmt.External.1"}, 400, "TopicDisallowed", topicOfDevice},
		"one environment":    {Question{Credential: key, Environment: "sandbox"}, 403, "BadEnvironmentKeyInToken", "use one for sandbox"},
		"both":               {Question{Credential: key, Both: true}, 403, "BadEnvironmentKeyInToken", insteadBoth},
		"no topic anywhere":  {Question{Credential: key}, 400, "DeviceTokenNotForTopic", "that was asked for"},
		"no word at all":     {Question{Credential: key}, 404, wordless.means, wordless.remedy},
		"a name of its own":  {Question{Credential: key}, 403, "InvalidProviderToken", "DEF123GHIJ"},
		"of the environment": {Question{Credential: key, Environment: "sandbox"}, 400, "BadDeviceToken", "production"},
	} {
		if got := tt.q.Advice(Verdict{Code: tt.code, Reason: tt.word}); !strings.Contains(got, tt.want) {
			t.Errorf("%s: advice %q, want %q in it", name, got, tt.want)
		}
	}
}

// Says names what was asked about as far as it is known, and only the first bytes of a device token.
func TestSays(t *testing.T) {
	q := Question{Credential: tokenCredential(t), Environment: "sandbox", Topic: topic}
	v := Verdict{Class: BadToken, Code: 400, Reason: "BadDeviceToken"}
	if got := q.Says(v, deviceToken(goodDevice, 1)); !strings.HasPrefix(got, "400 BadDeviceToken: ") ||
		!strings.HasSuffix(got, " (sandbox, topic "+topic+", device aa000000…)") {
		t.Errorf("%q", got)
	}
	q.Topic = ""
	if got := q.Says(Verdict{Class: NoAnswer, Reason: "odd"}, nil); !strings.HasPrefix(got, "odd: ") ||
		!strings.HasSuffix(got, " (sandbox)") {
		t.Errorf("%q", got)
	}
}
