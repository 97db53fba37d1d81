package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/provider"
)

// sendTo sends a notification to each token, and waits until APNs has answered all of
// them.
func (w *world) sendTo(t *testing.T, tokens ...string) {
	t.Helper()
	before := w.Sim.Stats()
	if report, err := w.provide(tokens...); err != nil || report.Failed > 0 || report.Uncertain > 0 {
		t.Fatalf("send: %+v, %v", report, err)
	}
	w.Await("all are answered", func(s apnssim.Stats) bool {
		return s.Accepted+s.Rejected >= before.Accepted+before.Rejected+len(tokens)
	})
}

// provide sends a notification to each token, as apnsbridge send does.
func (w *world) provide(tokens ...string) (provider.Report, error) {
	client := provider.Client{Addr: w.Push, TLS: w.ClientTLS(), Number: true, Quiet: 10 * time.Millisecond}
	return client.Send(w.T.Context(), func(yield func(binproto.Notification) bool) {
		for _, token := range tokens {
			n := binproto.Notification{Command: binproto.Enhanced, Token: servertest.Unhex(token),
				Payload: []byte(`{"aps":{"alert":"x"}}`),
				Expiry:  uint32(time.Now().Add(time.Hour).Unix())}
			if !yield(n) {
				return
			}
		}
	})
}

// readFeedback reads the feedback list, and returns a line for each device.
func (w *world) readFeedback(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	_, err := provider.ReadFeedback(t.Context(), w.Feedback, w.ClientTLS(), func(u binproto.Tuple) error {
		fmt.Fprintf(&lines, "%d %x\n", u.Time, u.Token)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

// uninstall makes APNs report n devices as dead, and returns their tokens.
func (w *world) uninstall(t *testing.T, n int) (tokens []string) {
	t.Helper()
	for i := range n {
		tokens = append(tokens, servertest.Token("0b", i))
		if err := w.Sim.SetDevice(apnssim.Device{Token: tokens[i], Topic: story.Topic, State: apnssim.Uninstalled,
			Since: listSince}); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

// checkDead reads the feedback list, which must have exactly the tokens want.
func (w *world) checkDead(t *testing.T, want []string) {
	t.Helper()
	listed := make(map[string]bool)
	for line := range strings.Lines(w.readFeedback(t)) {
		_, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		if listed[token] {
			t.Errorf("%s is on the list twice", token)
		}
		listed[token] = true
	}
	for _, token := range want {
		if !listed[token] {
			t.Errorf("%s is not on the list", token)
		}
	}
	if len(listed) != len(want) {
		t.Errorf("got %d entries, want %d", len(listed), len(want))
	}
}

// errorLines counts the lines of the log at level error that contain what.
func (w *world) errorLines(what string) (n int) {
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, `"level":"error"`) && strings.Contains(line, what) {
			n++
		}
	}
	return n
}
