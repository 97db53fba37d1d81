package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// An app's page and /api/state.json list the frames that were refused: who sent them, why they
// were refused, and whether the provider was told.
func TestFailuresAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	bad := "bad0" + strings.Repeat("0", 60)
	write := func(frame []byte, told byte) {
		t.Helper()
		before := len(w.service.bridge.Failures("demo"))
		conn := w.Dial(w.ClientTLS())
		defer conn.Close()
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		if told != 0 {
			if answer, err := conn.ReadResponse(); err != nil || byte(answer.Status) != told {
				t.Fatalf("got %v, %v, want status %d", answer, err, told)
			}
		}
		servertest.WaitFor(t, "the failure", func() bool { return len(w.service.bridge.Failures("demo")) > before })
	}
	simple := binproto.Notification{Command: binproto.Simple, Token: servertest.Unhex("07"), Payload: []byte("{}")}
	write(servertest.Enhanced(bad, 7_000_001), 8)
	write((&binproto.Notification{Command: binproto.Enhanced, Identifier: 7_000_002,
		Token: servertest.Unhex("07" + bad[2:])}).Append(nil), 4)
	write(simple.Append(nil), 0)

	status, text := w.Ask(t, http.MethodGet, "/api/state.json", nil)
	var st adminapi.State
	if err := json.Unmarshal([]byte(text), &st); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	all := st.Apps[0].Failures
	if len(all) != 3 {
		t.Fatalf("got %+v, want 3", all)
	}
	for i, want := range []struct {
		status      uint8
		identifier  uint32
		token, why  string
		named, told bool
	}{
		{5, 0, "", "limits.token_bytes", false, false},
		{4, 7_000_002, "", "no payload", true, true},
		{8, 7_000_001, "bad00000", "400 BadDeviceToken", true, true},
	} {
		got := all[i]
		if got.Status != want.status || (got.Identifier != nil) != want.named || want.named &&
			*got.Identifier != want.identifier ||
			got.Token != want.token || !strings.Contains(got.Reason, want.why) || got.Told.IsZero() == want.told ||
			got.Time.IsZero() || got.Client == "" || got.Address != "127.0.0.1" {
			t.Errorf("failure %d is %+v, want %+v", i, got, want)
		}
	}
	_, source := w.Ask(t, http.MethodGet, "/apps/demo", nil)
	words := servertest.WordsOf(source)
	for _, want := range []string{"8, invalid token told 7000001 bad00000… APNs answers 400 BadDeviceToken: ",
		"told 7000002 the frame has no payload", "not told the frame's device token is shorter", all[0].Client +
			" 127.0.0.1"} {
		if !strings.Contains(words, want) {
			t.Errorf("the app's page has no %q:\n%s", want, words)
		}
	}
	if strings.Contains(source+text, bad) {
		t.Error("a whole token is shown")
	}
	w.Stop()
	w.Amend("topic:", "on_bad_token: continue\n    topic:")
	w.Start()
	if got := w.service.bridge.Failures("demo"); len(got) != 0 {
		t.Errorf("after a restart got %+v, want none", got)
	}
	write(servertest.Enhanced(bad, 1), 0)
	if got := w.service.bridge.Failures("demo")[0]; !got.Told.IsZero() || got.Status != binproto.InvalidToken ||
		got.Identifier != 1 {
		t.Errorf("if providers are not told of bad tokens: got %+v", got)
	}
}
