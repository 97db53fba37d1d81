package apnssim

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"apnsbridge/gateway/devpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "com.example.demo"

// pki is made once: RSA keys take long to generate.
var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(topic)
	if err != nil {
		panic(err)
	}
	return p
})

// start runs a simulator for the length of the test.
func start(t testing.TB, scenario Scenario, changes ...func(*Config)) *Simulator {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Certificate: certificate, Scenario: scenario, ClientCAs: pki().Pool()}
	for _, change := range changes {
		change(&config)
	}
	sim, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim
}

// patience is how long a test waits for what must happen: 200,000 frames on a busy machine of
// two processors take longer than half a minute.
const patience = 3 * time.Minute

func wait(t testing.TB, sim *Simulator, done func(Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := sim.Wait(ctx, done); err != nil {
		t.Fatal(err)
	}
}

// client returns Go's HTTP/2 client.
func client(t testing.TB, certificates ...tls.Certificate) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pki().Pool(), Certificates: certificates},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// bearer makes a provider token.
func bearer(t testing.TB, keyID, teamID string, issued time.Time) string {
	t.Helper()
	key, err := jwt.ParseECPrivateKeyFromPEM(pki().TokenKey)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": teamID, "iat": issued.Unix()})
	token.Header["kid"] = keyID
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "bearer " + text
}

// noon is the simulator's time in tests that need one.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func atNoon(c *Config) { c.Now = func() time.Time { return noon } }

// device returns a device token that begins with prefix.
func device(prefix string) string { return prefix + strings.Repeat("a", 64-len(prefix)) }

// newPush returns a valid push request.
func newPush(t testing.TB, sim *Simulator, token, payload string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", sim.URL()+"/3/device/"+token, strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization":  {bearer(t, "KEY", "TEAM", sim.now())},
		"Apns-Topic":     {topic},
		"Apns-Push-Type": {"alert"},
	}
	return r
}

// verdictOf is the answer to a push, as a provider sees it.
type verdictOf struct {
	Status    int
	ID        string
	Body      string
	Reason    string
	Timestamp int64
}

func send(t testing.TB, c *http.Client, r *http.Request) verdictOf {
	t.Helper()
	v, err := trySend(c, r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func trySend(c *http.Client, r *http.Request) (verdictOf, error) {
	response, err := c.Do(r)
	if err != nil {
		return verdictOf{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return verdictOf{}, err
	}
	v := verdictOf{Status: response.StatusCode, ID: response.Header.Get("apns-id"), Body: string(body)}
	if bytes.HasPrefix(body, []byte("{")) {
		err = json.Unmarshal(body, &v)
	}
	return v, err
}
