package main

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
)

// A pin that is new admits, one that is gone does not, not even with a TLS
// session from before.
func TestReloadIdentities(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	oldRule, oldcomer := w.pinned()
	newRule, newcomer := w.pinned()
	oldcomer.MaxVersion = tls.VersionTLS12 // those have tickets
	oldcomer.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	w.amend("{ca: ca.pem, uid: com.example.demo}", oldRule)
	w.reload()
	w.dial(oldcomer)
	if again := w.dial(oldcomer); !again.ConnectionState().DidResume {
		t.Fatal("the TLS session was not resumed: the test shows less than it says")
	}
	if _, err := w.tryDial(newcomer); err == nil {
		t.Error("the new client was admitted before the reload")
	}

	w.amend(oldRule, newRule)
	w.reload()
	w.send(0, w.dial(newcomer))
	if _, err := w.tryDial(oldcomer); err == nil {
		t.Error("the client whose pin is gone was admitted")
	}
}

// The providers of an app that is gone are told, and what they sent before is
// delivered; those of other apps see nothing of it.
func TestReloadRemovesApp(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}})
	rule, leaver := w.pinned()
	settings, err := os.ReadFile(w.path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, app, _ := bytes.Cut(settings, []byte("  demo:\n"))
	second := "  second:\n" + strings.Replace(string(app), "{ca: ca.pem, uid: com.example.demo}", rule, 1)
	w.write("apnsbridge.yaml", append(settings, second...))
	w.reload()
	staying, leaving := w.dial(w.clientTLS()), w.dial(leaver)
	w.send(0, staying, leaving)
	if _, err := leaving.Write(enhanced(token("22", 7), 7)); err != nil {
		t.Fatal(err)
	}
	w.await("the last one is with APNs", func(s apnssim.Stats) bool { return s.Received == 3 })

	w.write("apnsbridge.yaml", settings)
	w.reload()
	leaving.SetReadDeadline(time.Now().Add(30 * time.Second))
	answer, err := leaving.ReadResponse()
	switch {
	case err == nil && answer.Status == binproto.Shutdown && (answer.Identifier == 1 || answer.Identifier == 7): // the last that is settled
	case errors.Is(err, io.EOF):
	default:
		t.Errorf("the provider of the app that is gone reads %v and error %v, want status 10 behind 1 or 7, or an orderly end", answer, err)
	}
	w.await("the last one is delivered", func(s apnssim.Stats) bool { return s.Accepted == 3 })
	if _, err := w.tryDial(leaver); err == nil {
		t.Error("a client of the app that is gone was admitted")
	}
	w.send(10, staying, w.dial(w.clientTLS()))
}
