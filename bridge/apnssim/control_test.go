package apnssim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The control API, as another program sees it.
func TestControl(t *testing.T) {
	sim := start(t, Scenario{}, atNoon)
	control := httptest.NewServer(sim.Control())
	defer control.Close()
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, control.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := control.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, strings.TrimSpace(string(text))
	}
	c := client(t)
	const id = "01234567-89ab-cdef-0123-456789abcdef"
	push := func(prefix, expiration string) {
		r := newPush(t, sim, device(prefix), "<&>")
		r.Header.Set("apns-id", id)
		r.Header.Set("apns-priority", "5")
		if expiration != "" {
			r.Header.Set("apns-expiration", expiration)
		}
		send(t, c, r)
	}
	const shared = `"topic":"com.example.demo","push_type":"alert","priority":5,`
	for _, step := range []struct {
		name         string
		do           func()
		method, path string
		body         string
		status       int
		answer       string
	}{
		{"nothing yet", nil, "GET", "/received", "", 200, `{"pushes":[],"duplicates":0}`},
		{"accepted", func() { push("1", "") }, "GET", "/received?since=0", "", 200,
			`{"pushes":[{"seq":1,"connection":1,"token":"` + device("1") + `",` + shared + `"expiration":null,"apns_id":"` + id + `","payload":"PCY+","status":200,"reason":""}],"duplicates":0}`},
		{"duplicate", func() { push("1", "0") }, "GET", "/received?since=1", "", 200,
			`{"pushes":[{"seq":2,"connection":1,"token":"` + device("1") + `",` + shared + `"expiration":0,"apns_id":"` + id + `","payload":"PCY+","status":200,"reason":""}],"duplicates":1}`},
		{"device", nil, "POST", "/devices", `{"token":"` + device("2") + `","topic":"com.example.demo","environment":"production","state":"uninstalled","since":1700000000}`, 204, ""},
		{"rejected", func() { push("2", "1700000000") }, "GET", "/received?since=2", "", 200,
			`{"pushes":[{"seq":3,"connection":1,"token":"` + device("2") + `",` + shared + `"expiration":1700000000,"apns_id":"` + id + `","payload":"PCY+","status":410,"reason":"Unregistered"}],"duplicates":1}`},
		{"forget", nil, "DELETE", "/received", "", 204, ""},
		{"forgotten", nil, "GET", "/received?since=0", "", 200, `{"pushes":[],"duplicates":0}`},
		{"scenario", nil, "POST", "/scenario", `{"reasons":[{"prefix":"3","status":500,"reason":"InternalServerError","probability":1}],"latency":{"fixed_ms":1,"jitter_ms":1}}`, 204, ""},
		{"by the scenario", func() { push("3", "") }, "GET", "/received?since=3", "", 200,
			`{"pushes":[{"seq":4,"connection":1,"token":"` + device("3") + `",` + shared + `"expiration":null,"apns_id":"` + id + `","payload":"PCY+","status":500,"reason":"InternalServerError"}],"duplicates":0}`},

		{"odd since", nil, "GET", "/received?since=x", "", 400, `{"error":"since=\"x\" is not a number of pushes"}`},
		{"unknown key", nil, "POST", "/devices", `{"tokn":"a"}`, 400, `{"error":"unknown key \"tokn\""}`},
		{"bad device", nil, "POST", "/devices", `{"token":"a"}`, 400, `{"error":"device token \"a\"… is not 64 to 200 hexadecimal digits"}`},
		{"wrong type", nil, "POST", "/scenario", `{"latency":5}`, 400, `{"error":"latency cannot be a number"}`},
		{"bad scenario", nil, "POST", "/scenario", `{"goaway":{"mode":"rude"}}`, 400, `{"error":"scenario: goaway: mode \"rude\" is none of graceful, double, abrupt, cut"}`},
		{"misspelt reason", nil, "POST", "/scenario", `{"outage":{"reason":"serviceUnavailable"}}`, 400, `{"error":"scenario: outage: reason \"serviceUnavailable\" is written ServiceUnavailable"}`},
		{"no body", nil, "POST", "/scenario", ``, 400, `{"error":"the body is empty, a JSON object is expected"}`},
		{"two values", nil, "POST", "/scenario", `{}{}`, 400, `{"error":"there is more behind the JSON object"}`},
		{"not JSON", nil, "POST", "/scenario", `latency: 5`, 400, `{"error":"not the JSON expected: it cannot be read in line 1"}`},
		{"a list", nil, "POST", "/scenario", "[\n]", 400, `{"error":"not the JSON expected: its value is of the kind array, and has to be an object, {…}"}`},
		{"cut", nil, "POST", "/scenario", `{"latency":`, 400, `{"error":"not the JSON expected: it breaks off at its end"}`},
		{"broken", nil, "POST", "/scenario", "{\n\"latency\": {\n,}}", 400, `{"error":"not the JSON expected: it cannot be read in line 3"}`},
		{"too large", nil, "POST", "/scenario", strings.Repeat(" ", maxControl+1), 400, `{"error":"http: request body too large"}`},
		{"another method", nil, "PUT", "/scenario", "", 405, "Method Not Allowed"},
		{"another path", nil, "GET", "/", "", 404, "404 page not found"},
	} {
		if step.do != nil {
			step.do()
		}
		status, answer := ask(step.method, step.path, step.body)
		if status != step.status || answer != step.answer {
			t.Errorf("%s: got %d %s\nwant %d %s", step.name, status, answer, step.status, step.answer)
		}
	}
	var stats Stats
	if _, text := ask("GET", "/stats", ""); json.Unmarshal([]byte(text), &stats) != nil || stats != sim.Stats() || stats.Rejected != 1 {
		t.Errorf("got stats %s", text)
	}
}
