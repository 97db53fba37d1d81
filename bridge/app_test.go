package bridge

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/upstream"
)

func TestExpiredCertificateIsOneSentence(t *testing.T) {
	file := append(bytes.Clone(pki().Client.CertPEM), pki().Client.KeyPEM...)
	c, err := upstream.NewCertificateCredential(file, "")
	if err != nil {
		t.Fatal(err)
	}
	late := c.Describe().Expires.Add(time.Second)
	app := App{Name: "mail", Topic: topic, Credentials: ForAll(c)}
	_, err = New(Config{Apps: []App{app}, Feedback: new(list), Now: func() time.Time { return late }})
	want := "app mail: the push certificate of " + topic + " expired on " + late.UTC().Format("2006-01-02")
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := c.Check(time.Now()); err != nil {
		t.Errorf("a good one is refused: %v", err)
	}
	if err := c.Check(time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("got %v for one from the future", err)
	}
}

func TestProbeNeedsACredential(t *testing.T) {
	_, err := Probe(within(t), App{Name: "mail", Topic: topic}, Question{})
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
		if got := tt.app.continues(Origin{Topic: tt.from}); got != tt.want {
			t.Errorf("%+v, certificate for %q: got %v, want %v", tt.app, tt.from, got, tt.want)
		}
	}
}
