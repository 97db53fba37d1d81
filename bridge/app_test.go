package bridge

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/upstream"
)

func TestExpiredCertificateIsOneSentence(t *testing.T) {
	t.Parallel()
	file := append(bytes.Clone(pki().Client.CertPEM), pki().Client.KeyPEM...)
	c, err := upstream.NewCertificateCredential(file, "", time.Now(), func(*x509.Certificate) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	late := c.Describe().Expires.Add(time.Second)
	app := App{Name: "mail", Topic: topic, Credentials: forAll(c)}
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
