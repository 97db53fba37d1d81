package server

import (
	"fmt"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// For the question why a provider was told that a token is bad, there are APNs' reason, the
// topic, the environment, the device and what to do: in the log, on the page, and in what
// status prints.
func TestWhyRefused(t *testing.T) {
	t.Parallel()
	answers := func(reason apnssim.Reason, status int) apnssim.Scenario {
		return apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "07", Reason: reason, Status: status}}}
	}
	device := servertest.Token("07", 1)
	const of = "production, topic com.example.demo, device "
	for _, tt := range []struct {
		name     string
		scenario apnssim.Scenario
		amend    string // of the app's settings
		frame    []byte
		status   byte
		says     []string
		asked    bool // the page and status show it too
	}{
		{"a token of no app", apnssim.Scenario{}, "", servertest.Enhanced("bad0"+strings.Repeat("0", 60), 1), 8,
			[]string{"400 BadDeviceToken: ", of + "bad00000…", "if the app on the devices was built for sandbox",
				"delete the token"}, true},
		{"another app's token", answers("DeviceTokenNotForTopic", 0), "", servertest.Enhanced(device, 1), 8,
			[]string{"400 DeviceTokenNotForTopic: ", of + device[:8] + "…", "another app than com.example.demo"}, true},
		{"in the sandbox", answers("BadDeviceToken", 0), "environment: sandbox", servertest.Enhanced(device, 1), 8,
			[]string{"400 BadDeviceToken: it is no token of sandbox", "sandbox, topic com.example.demo"}, true},
		{"under the certificate's topic", answers("DeviceTokenNotForTopic", 0), "from-certificate",
			servertest.Enhanced(device, 1), 8,
			[]string{"400 DeviceTokenNotForTopic: ", of}, true},
		{"too large a payload", answers("PayloadTooLarge", 0), "", servertest.Enhanced(device, 1), 7,
			[]string{"413 PayloadTooLarge: have the provider send at most 4096 bytes", of}, true},
		{"no payload, says APNs", answers("PayloadEmpty", 0), "", servertest.Enhanced(device, 1), 4,
			[]string{"400 PayloadEmpty: ", of}, true},
		{"words that are not known", answers("Whatever", 400), "strict: true", servertest.Enhanced(device, 1), 255,
			[]string{"APNs answers Whatever", of[:len(of)-len(", device ")]}, false},
		{"a short token", apnssim.Scenario{}, "", servertest.Enhanced("07", 1), 5,
			[]string{"limits.token_bytes", "not its digits"}, false},
		{"a long payload", apnssim.Scenario{}, "", (&binproto.Notification{Command: binproto.Enhanced, Identifier: 1,
			Token: servertest.Unhex(device), Payload: make([]byte,
				5000)}).Append(nil), 7, []string{"limits.payload_bytes"}, false},
		{"no payload", apnssim.Scenario{}, "", (&binproto.Notification{Command: binproto.Enhanced, Identifier: 1,
			Token: servertest.Unhex(device)}).Append(nil), 4, []string{"no payload"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.scenario)
			switch {
			case tt.amend == "from-certificate":
				w.Stop()
				w.Amend("topic: com.example.demo", "topic: from-certificate")
				w.Start()
			case tt.amend != "":
				w.Stop()
				w.Amend("topic:", tt.amend+"\n    topic:")
				w.Start()
			}
			for range 2 { // the second time without asking APNs, if the token is known as bad
				conn := w.Dial(w.ClientTLS())
				if _, err := conn.Write(tt.frame); err != nil {
					t.Fatal(err)
				}
				if answer, err := conn.ReadResponse(); err != nil || byte(answer.Status) != tt.status {
					t.Fatalf("got %v, %v, want status %d", answer, err, tt.status)
				}
			}
			lines := linesWith(w.Log.String(), `"message":"refused"`)
			if len(lines) != 2 {
				t.Fatalf("%d lines in\n%s", len(lines), w.Log.String())
			}
			_, page := w.showPage(t)
			for _, want := range tt.says {
				for _, line := range lines {
					if !strings.Contains(line, want) {
						t.Errorf("the log says %s, want %q", line, want)
					}
				}
				if tt.asked && !strings.Contains(page, want) {
					t.Errorf("the page has no %q:\n%s", want, page)
				}
				if tt.asked && !strings.Contains(w.service.state(false).Apps[0].Refusal, want) {
					t.Errorf("status says %+v, want %q", w.service.state(false).Apps, want)
				}
			}
			if strings.Contains(w.Log.String()+page, device) {
				t.Error("a whole token is shown")
			}
		})
	}
}

// The log, /readyz, the page and check --connect say in the same words why an app is
// held.
func TestWhyHeld(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		reason apnssim.Reason
		says   string
	}{
		{"a topic that is not allowed", "TopicDisallowed",
			"400 TopicDisallowed: the credential is not for the topic com.example.demo"},
		{"a key that is not the team's", "InvalidProviderToken", "403 InvalidProviderToken: the key is not one of team"},
		{"a key of the sandbox", "BadEnvironmentKeyIdInToken", "403 BadEnvironmentKeyIdInToken: the key "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: tt.reason}}})
			conn := w.Dial(w.ClientTLS())
			device := servertest.Token("0a", 1)
			if _, err := conn.Write(servertest.Enhanced(device, 1)); err != nil {
				t.Fatal(err)
			}
			servertest.WaitFor(t, "the problem", func() bool { return w.service.bridge.Problems()["demo"] != "" })
			_, page := w.showPage(t)
			_, _, check := w.check(CheckOptions{Connect: true})
			for where, text := range map[string]string{"log": w.Log.String(), "page": page, "check": check,
				"/readyz": fmt.Sprint(w.service.condition(false).problems)} {
				for _, want := range []string{tt.says, "(production, topic com.example.demo, device "} {
					if !strings.Contains(text, want) {
						t.Errorf("%s has no %q:\n%s", where, want, text)
					}
				}
			}
			if !strings.Contains(page, "device "+device[:8]+"…") {
				t.Errorf("the page does not name the device:\n%s", page)
			}
		})
	}
}

func linesWith(log, part string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}
