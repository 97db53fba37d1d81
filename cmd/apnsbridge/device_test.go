package main

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
)

// A phone in a terminal shows what a legacy provider sends to it, gets what came while it was
// offline, and is unknown to APNs once the app is uninstalled.
func TestDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	certificate, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	port, err := startCourier(w.Sim, "127.0.0.1:0", certificate)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- port.serve() }()
	defer func() {
		port.close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	command := deviceCommand{Sim: address(port.address().String()), CA: w.Path("ca.pem"), Name: "phone",
		Environment: "production",
		Bundle:      []string{story.Topic}}
	send := func(token, text string) {
		t.Helper()
		args := []string{"send", "--gateway", w.Push, "--cert", w.Path("client.pem"), "--key", w.Path("client-key.pem"),
			"--ca", w.Path("ca.pem"), "--token", token, "--quiet", "50ms", "--payload", `{"aps":{"alert":"` + text + `","badge":2}}`}
		out := &servertest.Buffer{}
		if code := run(args, streams{in: strings.NewReader(""), out: out, err: out}); code != exitOK {
			t.Fatalf("send: %d %s", code, out)
		}
	}
	strange := command
	strange.CA = w.Write("strange.pem", servertest.Strangers().CA.CertPEM)
	if err := strange.Run(t.Context(), streams{out: io.Discard}); err == nil ||
		!strings.Contains(err.Error(), "own ca.pem with --ca") {
		t.Errorf("with another simulator's CA: got %v", err)
	}
	// online runs the phone until do returns.
	online := func(do func(shown *servertest.Buffer, token string)) {
		t.Helper()
		out := &servertest.Buffer{}
		ctx, offline := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- command.Run(ctx, streams{out: out, err: out}) }()
		defer func() {
			offline()
			if err := <-ended; err != nil {
				t.Errorf("device: %v", err)
			}
		}()
		servertest.WaitFor(t, "its token", func() bool { return strings.Contains(out.String(), "has the device token") })
		do(out, regexp.MustCompile(`token ([0-9a-f]{64})`).FindStringSubmatch(out.String())[1])
	}
	var token string
	online(func(shown *servertest.Buffer, its string) {
		token = its
		send(token, "Good morning")
		servertest.WaitFor(t, "the banner", func() bool { return strings.Contains(shown.String(), "Good morning [badge 2]") })
	})
	send(token, "Lunch")
	send(token, "Good night")
	w.Await("two more", func(s apnssim.Stats) bool { return s.Accepted == 3 })
	online(func(shown *servertest.Buffer, its string) {
		if its != token {
			t.Error("the app has another token after the phone was offline")
		}
		servertest.WaitFor(t, "the last of them", func() bool {
			return strings.Contains(shown.String(), "Good night [badge 2] (sent while the device was offline)")
		})
		if strings.Contains(shown.String(), "Lunch") {
			t.Errorf("got more than the last notification: %s", shown)
		}
	})
	uninstall := func() {
		t.Helper()
		this, out := command, &servertest.Buffer{}
		this.Uninstall = true
		if err := this.Run(t.Context(), streams{out: out, err: out}); err != nil ||
			!strings.Contains(out.String(), "is uninstalled") {
			t.Errorf("uninstall: %v %s", err, out)
		}
	}
	last := func() int {
		pushes := w.Sim.Received(0).Pushes
		return pushes[len(pushes)-1].Status
	}
	// Another app is installed and uninstalled, while this one stays.
	bundle := command.Bundle
	command.Bundle = []string{"com.example.another"}
	online(func(shown *servertest.Buffer, its string) {
		send(token, "Still there?")
		servertest.WaitFor(t, "the banner", func() bool { return strings.Contains(shown.String(), "Still there?") })
	})
	uninstall()
	send(token, "And now?")
	w.Await("it, too", func(s apnssim.Stats) bool { return s.Accepted == 5 })
	command.Bundle = bundle
	online(func(shown *servertest.Buffer, its string) {
		if its != token {
			t.Error("the app has another token after another app was uninstalled")
		}
	})
	uninstall()
	send(token, "Are you there?")
	servertest.WaitFor(t, "410", func() bool { return last() == 410 })
}

func TestDeviceWithoutSimulator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	out := &servertest.Buffer{}
	args := []string{"device", "--sim", w.Hold(), "--ca", w.Path("ca.pem")}
	if code := run(args, streams{out: out, err: out}); code != exitFailed ||
		!strings.Contains(out.String(), "refused: start it with `apnsbridge sim`") {
		t.Errorf("got %d %s", code, out)
	}
}
