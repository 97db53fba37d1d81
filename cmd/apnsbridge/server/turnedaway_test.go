package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
)

// A refused client is on the page with the line that would admit it, and that line does.
func TestRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	certificate := servertest.Issue(t, servertest.Strangers(), devpki.ClientOptions{Topic: "com.example.stranger"})
	config := w.ClientTLS()
	config.Certificates = []tls.Certificate{*certificate}
	for range 2 {
		if conn, err := w.TryDial(config); err == nil {
			conn.ReadResponse() // with TLS 1.3 a client learns of the refusal at its first read
			conn.Close()
		}
	}
	var listed []page.Refused
	servertest.WaitFor(t, "the refusals are listed", func() bool {
		listed = w.service.refused.list()
		return len(listed) == 1 && listed[0].Times == 2
	})
	if _, words := w.showPage(t); !strings.Contains(words, listed[0].Line) ||
		!strings.Contains(listed[0].Subject, "com.example.stranger") {
		t.Errorf("the page has no %q of %q:\n%s", listed[0].Line, listed[0].Subject, words)
	}
	var st adminapi.State
	if _, text := w.Ask(t, http.MethodGet, "/api/state.json", nil); json.Unmarshal([]byte(text), &st) != nil ||
		len(st.Refused) != 1 {
		t.Fatalf("/api/state.json says %s", text)
	}
	if r := st.Refused[0]; r.Admit != listed[0].Line || r.Times != 2 || r.Address != "127.0.0.1" || r.Reason == "" ||
		r.Last.IsZero() {
		t.Errorf("/api/state.json says %+v", r)
	}
	if len(st.Limits) < 10 || st.Limits[0].Name != "connections" || st.Limits[0].Max != 10_000 {
		t.Errorf("/api/state.json has the bounds %+v", st.Limits)
	}
	w.Amend("clients:\n", "clients:\n      "+listed[0].Line+"\n")
	w.reload()
	conn, err := w.TryDial(config)
	if err != nil {
		t.Fatalf("with %s: %v", listed[0].Line, err)
	}
	w.Send(0, conn)
	if status, _ := w.Ask(t, http.MethodGet, "/", nil); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

// Providers whose TLS is too old or that do not trust the gateway's certificate are on the page with what to do about
// it, as in the log.
func TestFailedHandshakesAreOnThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	old, wary := w.ClientTLS(), w.ClientTLS()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	wary.RootCAs = x509.NewCertPool()
	for _, config := range []*tls.Config{old, wary} {
		if conn, err := w.TryDial(config); err == nil {
			conn.Close()
			t.Fatal("the handshake succeeds")
		}
	}
	servertest.WaitFor(t, "both are listed", func() bool { return len(w.service.refused.list()) == 2 })
	_, words := w.showPage(t)
	for _, want := range []string{`the client speaks TLS 1.0 set tls.min_version: "1.0"`,
		"does not trust the gateway's certificate", "apnsbridge certs"} {
		if !strings.Contains(words, want) {
			t.Errorf("the page has no %q:\n%s", want, words)
		}
	}
	_, state := w.Ask(t, http.MethodGet, "/api/state.json", nil)
	if !strings.Contains(state, `"remedy":"set tls.min_version: \"1.0\""`) {
		t.Errorf("/api/state.json says %s", state)
	}
}

// Strangers cannot make the list of refused clients grow without bound.
func TestDoorBookIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	d := &doorBook{now: func() time.Time { now = now.Add(time.Second); return now }}
	for i := range 10 * refusedMost {
		d.note(&gateway.Hello{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)},
			fmt.Errorf("no %s", strings.Repeat("x", 10_000)))
	}
	all := d.list()
	if len(all) != refusedMost || all[0].Line != "- {cidr: 10.0.1.243/32}" || len(all[0].Reason) > 310 {
		t.Errorf("got %d entries, the latest %+v", len(all), all[0])
	}
}
