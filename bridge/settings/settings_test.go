package settings

import (
	"context"
	"testing"
)

const topic = "com.example.mail"

func TestProbeNeedsACredential(t *testing.T) {
	_, err := Probe(context.Background(), App{Name: "mail", Topic: topic}, Question{})
	if err == nil || err.Error() != "app mail has no credential" {
		t.Errorf("got %v", err)
	}
}

// Topics whose payloads are all alike continue, also where the certificate names
// them; a setting goes before.
func TestContinuesByTopic(t *testing.T) {
	for _, tt := range []struct {
		app  App
		from string // the certificate's topic
		want bool
	}{
		{App{Topic: topic}, "", false},
		{App{Topic: "com.apple.mail.XServer.1"}, "", true},
		{App{}, "com.apple.mail.XServer.1", true},
		{App{}, "com.apple.mgmt.External.1", true},
		{App{}, "pass.com.example", true},
		{App{}, topic, false},
		{App{OnBadToken: Report}, "pass.com.example", false},
		{App{OnBadToken: Continue}, topic, true},
	} {
		if got := tt.app.Continues(tt.from); got != tt.want {
			t.Errorf("%+v, certificate for %q: got %v, want %v", tt.app, tt.from, got, tt.want)
		}
	}
}

// Which credential is for a topic: the closest of those that name it, else the one
// for all others, else any.
func TestCredentialFor(t *testing.T) {
	key := func(e Environment, topics ...string) Credential { return Credential{Environment: e, Topics: topics} }
	app := App{Credentials: []Credential{
		key(Production, "com.example"), key(Production, "com.example.mail", "com.example.news"), key(Production),
		key(Sandbox, "com.example.chat"), key(Sandbox, "com.example.mail"),
	}}
	for _, tt := range []struct {
		environment Environment
		topic       string
		want        int
	}{
		{Production, "com.example.mail", 1}, {Production, "com.example.mail.voip", 1}, {Production, "com.example.news", 1},
		{Production, "com.example.mailbox", 0}, {Production, "com.example", 0}, {Production, "com.other", 2},
		{Production, "", 2}, {Sandbox, "com.example.mail", 4}, {Sandbox, "com.example.chat", 3}, {Sandbox, "com.other", 3},
	} {
		if got := app.CredentialFor(tt.environment, tt.topic); got != &app.Credentials[tt.want] {
			t.Errorf("%v, %s: got %+v, want the %d.", tt.environment, tt.topic, got, tt.want)
		}
	}
	if got := (App{Credentials: app.Credentials[3:]}).CredentialFor(Production, "com.example.chat"); got != nil {
		t.Errorf("got %+v, want none", got)
	}
}
