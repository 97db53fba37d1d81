package apnssim

import (
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestReasons has each reason, by what is wrong with the request.
func TestReasons(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			if value == "" {
				r.Header.Del(name)
			} else {
				r.Header.Set(name, value)
			}
		}
	}
	path := func(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	payload := func(size int) func(*http.Request) {
		return func(r *http.Request) {
			fresh, _ := http.NewRequest("POST", r.URL.String(), strings.NewReader(strings.Repeat("x", size)))
			r.Body, r.ContentLength = fresh.Body, fresh.ContentLength
		}
	}
	all := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		status int
		reason Reason
	}{
		{"nothing", func(*http.Request) {}, 200, ""},
		{"upper-case token", path("/3/device/" + strings.Repeat("A", 64)), 200, ""},
		{"token of 100 bytes", path("/3/device/" + strings.Repeat("ab", 100)), 200, ""},
		{"GET", func(r *http.Request) { r.Method = "GET" }, 405, MethodNotAllowed},
		{"another path", path("/2/device/" + device("")), 404, BadPath},
		{"root", path("/"), 404, BadPath},
		{"topic twice", func(r *http.Request) { r.Header["Apns-Topic"] = []string{topic, topic} }, 400, DuplicateHeaders},
		{"no provider token", header("Authorization", ""), 403, MissingProviderToken},
		{"no bearer", header("Authorization", "Basic eA=="), 403, MissingProviderToken},
		{"no JWT", header("Authorization", "bearer x.y.z"), 403, InvalidProviderToken},
		{"JWT without key", header("Authorization", bearer(t, "", "TEAM", noon)), 403, InvalidProviderToken},
		{"JWT without team", header("Authorization", bearer(t, "KEY", "", noon)), 403, InvalidProviderToken},
		{"JWT of 60 minutes", header("Authorization", bearer(t, "KEY", "TEAM", noon.Add(-60*time.Minute))), 200, ""},
		{"JWT of 61 minutes", header("Authorization", bearer(t, "KEY", "TEAM", noon.Add(-61*time.Minute))), 403, ExpiredProviderToken},
		{"JWT of tomorrow", header("Authorization", bearer(t, "KEY", "TEAM", noon.Add(24*time.Hour))), 403, InvalidProviderToken},
		{"apns-id", header("apns-id", "not-a-uuid"), 400, BadMessageID},
		{"expiration", header("apns-expiration", "soon"), 400, BadExpirationDate},
		{"negative expiration", header("apns-expiration", "-1"), 400, BadExpirationDate},
		{"expiration 0", header("apns-expiration", "0"), 200, ""},
		{"priority 1", header("apns-priority", "1"), 200, ""},
		{"priority 7", header("apns-priority", "7"), 400, BadPriority},
		{"push type", header("apns-push-type", "shout"), 400, InvalidPushType},
		{"no push type", header("apns-push-type", ""), 200, ""},
		{"collapse id of 64", header("apns-collapse-id", strings.Repeat("c", 64)), 200, ""},
		{"collapse id of 65", header("apns-collapse-id", strings.Repeat("c", 65)), 400, BadCollapseID},
		{"no topic", header("apns-topic", ""), 400, MissingTopic},
		{"odd topic", header("apns-topic", "com example"), 400, BadTopic},
		{"voip without suffix", header("apns-push-type", "voip"), 400, InvalidPushType},
		{"suffix without voip", header("apns-topic", topic+".voip"), 400, InvalidPushType},
		{"voip", all(header("apns-topic", topic+".voip"), header("apns-push-type", "voip")), 200, ""},
		{"live activity", all(header("apns-topic", topic+".push-type.liveactivity"), header("apns-push-type", "liveactivity")), 200, ""},
		{"mdm", all(header("apns-topic", "com.apple.mgmt.External.x"), header("apns-push-type", "mdm")), 200, ""},
		{"mdm as alert", header("apns-topic", "com.apple.mgmt.External.x"), 400, InvalidPushType},
		{"background 10", all(header("apns-push-type", "background"), header("apns-priority", "10")), 400, BadPriority},
		{"background 5", all(header("apns-push-type", "background"), header("apns-priority", "5")), 200, ""},
		{"no device token", path("/3/device/"), 400, MissingDeviceToken},
		{"token of 31 bytes", path("/3/device/" + strings.Repeat("a", 62)), 400, BadDeviceToken},
		{"token of 101 bytes", path("/3/device/" + strings.Repeat("a", 202)), 400, BadDeviceToken},
		{"token of 32.5 bytes", path("/3/device/" + strings.Repeat("a", 65)), 400, BadDeviceToken},
		{"token not hex", path("/3/device/" + strings.Repeat("g", 64)), 400, BadDeviceToken},
		{"no payload", payload(0), 400, PayloadEmpty},
		{"payload of 4096", payload(4096), 200, ""},
		{"payload of 4097", payload(4097), 413, PayloadTooLarge},
		{"payload of 100 KiB", payload(100 << 10), 413, PayloadTooLarge},
		{"voip of 5120", all(header("apns-topic", topic+".voip"), header("apns-push-type", "voip"), payload(5120)), 200, ""},
		{"voip of 5121", all(header("apns-topic", topic+".voip"), header("apns-push-type", "voip"), payload(5121)), 413, PayloadTooLarge},
		{"bad0", path("/3/device/" + device("bad0")), 400, BadDeviceToken},
		{"dead", path("/3/device/" + device("dead")), 410, Unregistered},
		{"DEAD", path("/3/device/" + strings.ToUpper(device("dead"))), 410, Unregistered},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := start(t, Scenario{}, atNoon)
			r := newPush(t, sim, device(""), "{}")
			test.change(r)
			got := send(t, client(t), r)
			if got.Status != test.status || got.Reason != string(test.reason) {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Reason, test.status, test.reason)
			}
			if test.reason == Unregistered && got.Timestamp != noon.UnixMilli() {
				t.Errorf("got timestamp %d, want %d", got.Timestamp, noon.UnixMilli())
			}
			if !isID(got.ID) {
				t.Errorf("got apns-id %q", got.ID)
			}
			pushes := sim.Received(0).Pushes
			if len(pushes) != 1 || pushes[0].Status != test.status || pushes[0].Reason != string(test.reason) || pushes[0].APNSID != got.ID {
				t.Errorf("got record %+v", pushes)
			}
		})
	}
}

// The sandbox gives each push an apns-unique-id as well, for Apple's console.
func TestUniqueID(t *testing.T) {
	for _, environment := range []string{Production, Sandbox} {
		sim := start(t, Scenario{Environment: environment}, atNoon)
		answer, err := client(t).Do(newPush(t, sim, device(""), "{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("apns-unique-id"); isID(got) != (environment == Sandbox) {
			t.Errorf("%s: got %q", environment, got)
		}
	}
}

// TestScenarioReasons has the answers that only a scenario can bring about.
func TestScenarioReasons(t *testing.T) {
	key := Key{KeyID: "KEY", TeamID: "TEAM", PEM: string(pki().TokenKey)}
	foreign := key
	foreign.TeamID = "OTHER"
	sandbox := key
	sandbox.Environment = Sandbox
	scoped, covering := key, key
	scoped.Topics, covering.Topics = []string{"com.example.other", topic + "x"}, []string{"com.example.other", topic}
	odd, none := "<html>", ""
	for _, test := range []struct {
		name     string
		scenario Scenario
		status   int
		body     string
	}{
		{"trusted key", Scenario{Keys: []Key{key}}, 200, ""},
		{"key of another team", Scenario{Keys: []Key{foreign}}, 403, `{"reason":"InvalidProviderToken"}`},
		{"key of the other environment", Scenario{Keys: []Key{sandbox}, Environment: Production}, 403, `{"reason":"BadEnvironmentKeyInToken"}`},
		{"key for other topics", Scenario{Keys: []Key{scoped}}, 400, `{"reason":"TopicDisallowed"}`},
		{"key for some topics", Scenario{Keys: []Key{covering}}, 200, ""},
		{"topic allowed", Scenario{Topics: []string{topic}}, 200, ""},
		{"topic not allowed", Scenario{Topics: []string{"com.example.other"}}, 400, `{"reason":"TopicDisallowed"}`},
		{"JSON", Scenario{RequireJSON: true}, 400, `{"reason":"PayloadEmpty"}`},
		{"outage", Scenario{Outage: &Outage{}}, 503, `{"reason":"ServiceUnavailable"}`},
		{"outage of another kind", Scenario{Outage: &Outage{Reason: InternalServerError}}, 500, `{"reason":"InternalServerError"}`},
		{"rule", Scenario{Reasons: []Rule{{Prefix: "abc", Reason: TooManyRequests}}}, 429, `{"reason":"TooManyRequests"}`},
		{"rule for another token", Scenario{Reasons: []Rule{{Prefix: "abd", Reason: TooManyRequests}}}, 200, ""},
		{"rule for another topic", Scenario{Reasons: []Rule{{Topic: "com.example", Reason: TooManyRequests}}}, 200, ""},
		{"rule that accepts", Scenario{Reasons: []Rule{{Prefix: "abc"}, {Reason: Forbidden}}}, 200, ""},
		{"unknown reason", Scenario{Reasons: []Rule{{Status: 418, Reason: "Teapot"}}}, 418, `{"reason":"Teapot"}`},
		{"expired token", Scenario{Reasons: []Rule{{Reason: ExpiredToken}}}, 410, `{"reason":"ExpiredToken","timestamp":1795348800000}`},
		{"odd timestamp", Scenario{Reasons: []Rule{{Reason: Unregistered, Timestamp: []byte(`"soon"`)}}}, 410, `{"reason":"Unregistered","timestamp":"soon"}`},
		{"odd body", Scenario{Reasons: []Rule{{Status: 502, Body: &odd}}}, 502, "<html>"},
		{"no body", Scenario{Reasons: []Rule{{Reason: Shutdown, Body: &none}}}, 503, ""},
		{"slow body", Scenario{SlowBody: &SlowBody{Bytes: 7, Pause: 0.1}, Reasons: []Rule{{Reason: Forbidden}}}, 403, `{"reason":"Forbidden"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := start(t, test.scenario, atNoon)
			r := newPush(t, sim, device("abc"), "not JSON")
			v, err := client(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Body.Close()
			var body bytes.Buffer
			if _, err := body.ReadFrom(v.Body); err != nil {
				t.Fatal(err)
			}
			if v.StatusCode != test.status || body.String() != test.body {
				t.Errorf("got %d %q, want %d %q", v.StatusCode, body.String(), test.status, test.body)
			}
		})
	}
}

func TestRuleTimes(t *testing.T) {
	sim := start(t, Scenario{Reasons: []Rule{{Reason: InternalServerError, Times: 2}}})
	c := client(t)
	var got []int
	for range 4 {
		got = append(got, send(t, c, newPush(t, sim, device(""), "{}")).Status)
	}
	if want := []int{500, 500, 200, 200}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The same seed gives the same sequence of random decisions.
func TestSeed(t *testing.T) {
	sequence := func(seed uint64) (statuses []int) {
		sim := start(t, Scenario{Seed: seed, Reasons: []Rule{{Reason: InternalServerError, Probability: 0.5}}})
		c := client(t)
		for range 40 {
			statuses = append(statuses, send(t, c, newPush(t, sim, device(""), "{}")).Status)
		}
		return statuses
	}
	one := sequence(1)
	if again := sequence(1); !reflect.DeepEqual(one, again) {
		t.Errorf("got %v, then %v", one, again)
	}
	if two := sequence(2); reflect.DeepEqual(one, two) {
		t.Errorf("two seeds gave the same sequence %v", one)
	}
}

func TestDeviceLimit(t *testing.T) {
	now := noon
	var mu sync.Mutex
	sim := start(t, Scenario{DeviceLimit: &RateLimit{Count: 2, Seconds: 10}}, func(c *Config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	c := client(t)
	status := func(token string) int { return send(t, c, newPush(t, sim, token, "{}")).Status }
	got := []int{status(device("1")), status(device("1")), status(device("1")), status(device("2"))}
	mu.Lock()
	now = now.Add(10 * time.Second)
	mu.Unlock()
	got = append(got, status(device("1")))
	if want := []int{200, 200, 429, 200, 200}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A connection belongs to the keys of one team; those of other teams need a connection of their own.
func TestProviderTokens(t *testing.T) {
	sim := start(t, Scenario{KeyUpdates: &RateLimit{Count: 2, Seconds: 1200}}, atNoon)
	c := client(t)
	reason := func(token string) string {
		r := newPush(t, sim, device(""), "{}")
		r.Header.Set("Authorization", token)
		return send(t, c, r).Reason
	}
	first := bearer(t, "KEY", "TEAM", noon)
	second := bearer(t, "KEY", "TEAM", noon.Add(-time.Second))
	for _, step := range []struct {
		name, token string
		want        Reason
	}{
		{"first", first, ""},
		{"again", first, ""},
		{"renewed", second, ""},
		{"the old one", first, ""},
		{"renewed too often", bearer(t, "KEY", "TEAM", noon.Add(-2*time.Second)), TooManyProviderTokenUpdates},
		{"the renewed one", second, ""},
		{"another key of the team", bearer(t, "KEY2", "TEAM", noon), ""},
		{"another key of another team", bearer(t, "KEY3", "TEAM2", noon), UnrelatedKeyIDInToken},
		{"another team", bearer(t, "KEY", "TEAM2", noon), InvalidProviderToken},
	} {
		if got := reason(step.token); got != string(step.want) {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
}

// A provider token may be an hour old, or as much ahead.
func TestProviderTokenAge(t *testing.T) {
	for _, test := range []struct {
		ahead time.Duration
		want  Reason
	}{
		{-time.Hour, ""}, {-time.Hour - time.Second, ExpiredProviderToken},
		{time.Hour, ""}, {time.Hour + time.Second, InvalidProviderToken},
	} {
		sim := start(t, Scenario{}, atNoon)
		r := newPush(t, sim, device(""), "{}")
		r.Header.Set("Authorization", bearer(t, "KEY", "TEAM", noon.Add(test.ahead)))
		if got := send(t, client(t), r).Reason; got != string(test.want) {
			t.Errorf("%v ahead: got %q, want %q", test.ahead, got, test.want)
		}
	}
}

// A topic that is allowed later is taken on new connections only, and so is a key.
func TestBind(t *testing.T) {
	key := Key{KeyID: "KEY", TeamID: "TEAM", PEM: string(pki().TokenKey)}
	for _, test := range []struct {
		name          string
		before, after Scenario
		want          Reason
	}{
		{"topic", Scenario{Topics: []string{"com.example.other"}}, Scenario{}, TopicDisallowed},
		{"key", Scenario{Keys: []Key{{KeyID: "OTHER", TeamID: "TEAM", PEM: key.PEM}}}, Scenario{Keys: []Key{key}}, InvalidProviderToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.before.Bind, test.after.Bind = true, true
			sim := start(t, test.before, atNoon)
			old := client(t)
			reason := func(c *http.Client) Reason { return Reason(send(t, c, newPush(t, sim, device(""), "{}")).Reason) }
			if got := reason(old); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if err := sim.SetScenario(test.after); err != nil {
				t.Fatal(err)
			}
			if got := reason(old); got != test.want {
				t.Errorf("on the old connection: got %q, want %q", got, test.want)
			}
			if got := reason(client(t)); got != "" {
				t.Errorf("on a new connection: got %q", got)
			}
			test.after.Bind = false
			if err := sim.SetScenario(test.after); err != nil {
				t.Fatal(err)
			}
			if got := reason(old); got != "" {
				t.Errorf("on the old connection, unbound: got %q", got)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	certificate, err := pki().Client.TLS()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, topic, pushType string
		reason                Reason
	}{
		{"its topic", topic, "alert", ""},
		{"no topic", "", "alert", ""},
		{"with a suffix", topic + ".voip", "voip", ""},
		{"another topic", "com.example.other", "alert", TopicDisallowed},
		{"one that begins alike", topic + "x", "alert", TopicDisallowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := start(t, Scenario{})
			r := newPush(t, sim, device(""), "{}")
			r.Header = http.Header{"Apns-Push-Type": {test.pushType}}
			if test.topic != "" {
				r.Header.Set("apns-topic", test.topic)
			}
			if got := send(t, client(t, certificate), r).Reason; got != string(test.reason) {
				t.Errorf("got %q, want %q", got, test.reason)
			}
			if got, want := sim.Received(0).Pushes[0].Topic, test.topic; got != want && want != "" || got == "" {
				t.Errorf("got topic %q", got)
			}
		})
	}
}

func TestDevices(t *testing.T) {
	sim := start(t, Scenario{Environment: Production}, atNoon)
	const since = 1_700_000_000
	for _, d := range []Device{
		{Token: device("1"), Topic: topic, State: Active},
		{Token: device("2"), State: Uninstalled, Since: since},
		{Token: device("3"), Topic: topic, State: Absent},
		{Token: device("4"), Topic: "com.example.other", State: Active},
		{Token: device("5"), Environment: Sandbox, State: Active},
		{Token: device("dead1"), Since: since},
		{Token: device("dead2"), State: Active},
		{Token: strings.ToUpper(device("6")), State: Uninstalled},
		{Token: device("7"), State: Uninstalled},
		{Token: device("7"), State: Active},
		{Token: device("8"), Topic: "com.example.other", State: Uninstalled},
		{Token: device("8"), Topic: topic, State: Active},
	} {
		if err := sim.SetDevice(d); err != nil {
			t.Fatal(err)
		}
	}
	c := client(t)
	for _, test := range []struct {
		token     string
		reason    Reason
		timestamp int64
	}{
		{device("1"), "", 0},
		{device("2"), Unregistered, since * 1000},
		{device("3"), BadDeviceToken, 0},
		{device("4"), DeviceTokenNotForTopic, 0},
		{device("5"), BadDeviceToken, 0},
		{device("dead1"), Unregistered, since * 1000},
		{device("dead2"), "", 0},
		{device("6"), Unregistered, noon.UnixMilli()},
		{device("7"), "", 0},
		{device("8"), "", 0},
		{device("9"), "", 0},
	} {
		got := send(t, c, newPush(t, sim, test.token, "{}"))
		if got.Reason != string(test.reason) || got.Timestamp != test.timestamp {
			t.Errorf("%.8s: got %q, %d; want %q, %d", test.token, got.Reason, got.Timestamp, test.reason, test.timestamp)
		}
	}
	for _, d := range []Device{
		{Token: "abc"},
		{Token: device(""), State: "asleep"},
		{Token: device(""), Environment: "staging"},
		{Token: device(""), Since: -1},
	} {
		if sim.SetDevice(d) == nil {
			t.Errorf("%+v was accepted", d)
		}
	}
}

// Everything in a push is recorded as it was sent.
func TestRecord(t *testing.T) {
	sim := start(t, Scenario{})
	c := client(t)
	payload := "{\"aps\":\"<&\u2028\xff\"}"
	const id = "01234567-89AB-cdef-0123-456789abcdef"
	r := newPush(t, sim, device(""), payload)
	r.Header.Set("apns-id", id)
	r.Header.Set("apns-priority", "5")
	r.Header.Set("apns-expiration", "0")
	if got := send(t, c, r); got.ID != id {
		t.Errorf("got apns-id %q, want %q", got.ID, id)
	}
	send(t, c, newPush(t, sim, device(""), payload))
	send(t, c, newPush(t, sim, device("bad0"), payload))
	send(t, c, newPush(t, sim, device("bad0"), payload))

	got := sim.Received(0)
	zero := int64(0)
	want := Push{
		Seq: 1, Connection: 1, Token: device(""), Topic: topic, PushType: "alert", Priority: 5,
		Expiration: &zero, APNSID: id, Payload: []byte(payload), Status: 200,
	}
	if len(got.Pushes) != 4 || !reflect.DeepEqual(got.Pushes[0], want) {
		t.Fatalf("got %+v, want %+v first", got.Pushes, want)
	}
	if second := got.Pushes[1]; second.Expiration != nil || second.Priority != 0 {
		t.Errorf("got %+v for a push without these headers", second)
	}
	if got.Duplicates != 1 {
		t.Errorf("got %d duplicates, want 1", got.Duplicates)
	}
	if late := sim.Received(3).Pushes; len(late) != 1 || late[0].Seq != 4 {
		t.Errorf("got %+v after 3", late)
	}
	sim.Reset()
	if s := sim.Stats(); s.Received != 0 || s.Duplicates != 0 || s.Kept != 0 {
		t.Errorf("got %+v after Reset", s)
	}
	send(t, c, newPush(t, sim, device(""), payload))
	if got := sim.Received(0); len(got.Pushes) != 1 || got.Pushes[0].Seq != 5 || got.Duplicates != 0 {
		t.Errorf("got %+v after Reset", got)
	}
}

// The record is bounded, and can be switched off.
func TestRecordBounds(t *testing.T) {
	for _, test := range []struct{ keep, kept, forgotten int }{
		{-1, 0, 0},
		{1, 3000 % pageSize, 3000 - 3000%pageSize},
		{0, 3000, 0},
	} {
		var r record
		r.init(test.keep, 1000)
		for i := range 3000 {
			r.add(Push{Payload: []byte{byte(i), byte(i >> 8)}, Status: 200}, 0, false)
		}
		var s Stats
		r.stats(&s)
		if s.Kept != test.kept || s.Forgotten != test.forgotten || s.Accepted != 3000 || s.Duplicates != 0 {
			t.Errorf("keep %d: got %+v", test.keep, s)
		}
		if pushes := r.received(0).Pushes; len(pushes) != test.kept || test.kept > 0 && pushes[len(pushes)-1].Seq != 3000 {
			t.Errorf("keep %d: got %d pushes", test.keep, len(pushes))
		}
		r.add(Push{Payload: []byte{2999 & 0xff, 2999 >> 8}, Status: 200}, 0, false)
		if r.doubled != 1 {
			t.Errorf("keep %d: a duplicate was not counted", test.keep)
		}
	}
}
