package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// A new pin admits its client; one that was removed does not, not even with an earlier TLS
// session.
func TestReloadIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	oldRule, oldcomer := w.Pinned()
	newRule, newcomer := w.Pinned()
	oldcomer.MaxVersion = tls.VersionTLS12 // only TLS 1.2 has tickets
	oldcomer.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	w.Amend("{ca: ca.pem, uid: com.example.demo}", oldRule)
	w.reload()
	w.Dial(oldcomer)
	if again := w.Dial(oldcomer); !again.ConnectionState().DidResume {
		t.Fatal("the TLS session was not resumed, so the test does not show what it should")
	}
	if _, err := w.TryDial(newcomer); err == nil {
		t.Error("the new client was admitted before the reload")
	}

	w.Amend(oldRule, newRule)
	w.reload()
	w.Send(0, w.Dial(newcomer))
	if _, err := w.TryDial(oldcomer); err == nil {
		t.Error("the client whose pin was removed was admitted")
	}
}

// The providers of an app that was removed are told, and what they sent before is delivered;
// those of other apps notice nothing.
func TestReloadRemovesApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}})
	rule, leaver := w.Pinned()
	settings, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, app, _ := bytes.Cut(settings, []byte("  demo:\n"))
	second := "  second:\n" + strings.Replace(string(app), "{ca: ca.pem, uid: com.example.demo}", rule, 1)
	w.Write("apnsbridge.yaml", append(settings, second...))
	w.reload()
	staying, leaving := w.Dial(w.ClientTLS()), w.Dial(leaver)
	w.Send(0, staying, leaving)
	if _, err := leaving.Write(servertest.Enhanced(servertest.Token("22", 7), 7)); err != nil {
		t.Fatal(err)
	}
	w.Await("the last one is with APNs", func(s apnssim.Stats) bool { return s.Received == 3 })

	w.Write("apnsbridge.yaml", settings)
	w.reload()
	leaving.SetReadDeadline(time.Now().Add(30 * time.Second))
	answer, err := leaving.ReadResponse()
	switch {
	case err == nil && answer.Status == binproto.Shutdown &&
		(answer.Identifier == 1 || answer.Identifier == 7): // the last settled notification
	case errors.Is(err, io.EOF):
	default:
		t.Errorf("the removed app's provider reads %v and error %v, want status 10 or an orderly end", answer, err)
	}
	w.Await("the last one is delivered", func(s apnssim.Stats) bool { return s.Accepted == 3 })
	if _, err := w.TryDial(leaver); err == nil {
		t.Error("a client of the removed app was admitted")
	}
	w.Send(10, staying, w.Dial(w.ClientTLS()))
}
