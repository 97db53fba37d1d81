package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// An operator traces a device and reads what became of its notifications: as lines, as JSON,
// and as a curl command whose push APNs accepts.
func TestTraceCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.FixPorts()
	w.Start()
	expect := func(want int, says string, args ...string) string {
		t.Helper()
		return expecting(t, w)(want, says, append([]string{"trace"}, args...)...)
	}
	expect(servertest.OK, "nothing of this was traced", "--show")
	expect(servertest.Misused, "--token: the beginning of a device token", "--token", "xyz")
	expect(servertest.Misused, "--json goes with --show", "--json")
	expect(servertest.Failed, "a trace is for 24h0m0s at most", "--for", "100h")
	status, body := w.Ask(t, http.MethodPost, "/apps/gone/trace", nil)
	if status != http.StatusBadRequest || !strings.Contains(body, `"gone"`) {
		t.Errorf("an unknown app: got %d and %s", status, body)
	}
	const start = "/apps/demo/trace?token=21&for=1h&payloads=yes"
	fromPage := func(r *http.Request) { r.Header.Del("X-Apnsbridge") }
	if status, _ := w.Ask(t, http.MethodPost, start, fromPage); status != http.StatusForbidden {
		t.Errorf("a request that a web page could have sent: got %d, want it forbidden", status)
	}
	if status, body := w.Ask(t, http.MethodPost, start, nil); status != http.StatusOK {
		t.Fatalf("got %d and %s", status, body)
	}
	conn := w.Dial(w.ClientTLS())
	w.Send(7, conn)
	if _, err := conn.Write(servertest.Enhanced(servertest.Token("bad0", 1), 8)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the verdicts", func() bool {
		return w.Sum(t, // Sum, because the metric does not exist before it has counted
			`apnsbridge_notifications_total{app="demo",environment="production",outcome="accepted",reason=""}`) == 1 &&
			w.Metric(t, "apnsbridge_notifications_unsettled") == 0
	})
	text := expect(servertest.OK, "  identifier 7  apns-id ", "--show", "--curl", "--identifier", "7")
	for _, want := range []string{
		"  21000000…  ", "  taken: enhanced, with ", "  sent: attempt 1\n", "  answered: 200 after ",
		"\n  --header 'apns-topic: com.example.demo' \\\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "identifier 8") || strings.Contains(text, servertest.Token("21", 7)) {
		t.Errorf("the trace shows another device, or a whole token:\n%s", text)
	}
	var answer adminapi.Trace
	err := json.Unmarshal([]byte(expect(servertest.OK, `"what":"answered"`, "--show", "--json")), &answer)
	if err != nil || len(answer.Notes) != 1 || len(answer.Tracing) != 1 {
		t.Fatalf("%v, %+v", err, answer)
	}
	curl(t, w, answer.Notes[0].Curl, servertest.Token("21", 7))
	_, source := w.Ask(t, http.MethodGet, "/apps/demo/trace?identifier=7",
		func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	for _, want := range []string{"Tokens that begin with 21 are traced until ", "21000000… identifier 7, apns-id " +
		answer.Notes[0].APNsID,
		" sent attempt 1 ", " answered 200 after ", "--header 'apns-topic: com.example.demo'"} {
		if words := servertest.WordsOf(source); !strings.Contains(words, want) ||
			strings.Contains(words, servertest.Token("21", 7)) {
			t.Errorf("the page has no %q, or a whole token:\n%s", want, words)
		}
	}
	expect(servertest.OK, "app demo, tokens that begin with 21: traced for 1s\n", "--token", "21", "--for",
		"1s") // the command waits until the trace ends
	w.Send(9, conn)
	if text := expect(servertest.OK, "identifier 7", "--show"); strings.Contains(text, "identifier 9") {
		t.Errorf("a notification is traced although the trace's time is over:\n%s", text)
	}
	if status, _ := w.Ask(t, http.MethodPost, "/apps/demo/trace?token=21", nil); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	expect(servertest.OK, "tokens that begin with 21: traced no longer", "--token", "21", "--for", "0s")
	w.Send(10, conn)
	if text := expect(servertest.OK, "identifier 7", "--show"); strings.Contains(text, "identifier 10") {
		t.Errorf("a notification is traced although the trace was ended:\n%s", text)
	}
	expect(servertest.OK, "apns-id "+answer.Notes[0].APNsID, "--show", "--apns-id", answer.Notes[0].APNsID)
	if log := w.Log.String(); strings.Contains(log, `"token":"21"`) || !strings.Contains(log, "notifications are traced") {
		t.Errorf("the log names the token, or does not say that notifications are traced:\n%s", log)
	}
}

// curl runs the command that the trace shows, as someone who migrates would: to the simulator
// it is the same push.
func curl(t *testing.T, w *servertest.World, text, device string) {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Log("the push was not made with curl: it is not installed")
		return
	}
	before := w.Sim.Stats()
	curl := path + " --silent --show-error --fail"
	cmd := exec.Command("sh", "-c", strings.Replace(text, "curl", curl, 1))
	part := base64.RawURLEncoding.EncodeToString // the simulator trusts any well-formed, current JWT
	jwt := part([]byte(`{"alg":"ES256","kid":"ABC123DEFG"}`)) + "." +
		part(fmt.Appendf(nil, `{"iss":"DEF123GHIJ","iat":%d}`, time.Now().Unix())) + ".c2ln"
	cmd.Env = append(cmd.Environ(), "TOKEN="+device, "JWT="+jwt, "CA="+w.Path("ca.pem"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("curl: %v\n%s\n%s", err, out, text)
	}
	if after := w.Sim.Stats(); after.Accepted != before.Accepted+1 || after.Duplicates != before.Duplicates+1 {
		t.Errorf("the simulator accepted %d, %d of them twice; before, %d and %d", after.Accepted, after.Duplicates,
			before.Accepted, before.Duplicates)
	}
}
