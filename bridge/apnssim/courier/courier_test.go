package courier_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/apnssim/courier"
	"apnsbridge/gateway/devpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bundle = "com.example.demo"

var demo = courier.App{Bundle: bundle, Environment: "production"}

var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(bundle)
	if err != nil {
		panic(err)
	}
	return p
})

// world is an APNs with its courier, and a provider that uses HTTP/2.
type world struct {
	t       *testing.T
	sim     *apnssim.Simulator
	courier *courier.Courier
	address string
	client  *http.Client
	bearer  string
}

func newWorld(t *testing.T, now func() time.Time) *world {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, courier: courier.New(sim, now)}
	server := httptest.NewUnstartedServer(w.courier)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	transport := &http.Transport{TLSClientConfig: w.tls(), ForceAttemptHTTP2: true}
	w.address, w.client = server.Listener.Addr().String(), &http.Client{Transport: transport}
	w.bearer = bearer(t)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		w.courier.Close()
		server.Close()
		sim.Close()
	})
	return w
}

func (w *world) tls() *tls.Config { return &tls.Config{RootCAs: pki().Pool()} }

// context returns the test's context, with a time limit.
func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) connect(device string, installed ...courier.App) *courier.Phone {
	w.t.Helper()
	p, err := courier.Connect(w.context(), w.address, w.tls(), device, installed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

func (w *world) register(p *courier.Phone, app courier.App) string {
	w.t.Helper()
	token, err := p.Register(w.context(), app)
	if err != nil {
		w.t.Fatal(err)
	}
	return hex.EncodeToString(token)
}

// push sends a push and returns APNs' status.
func (w *world) push(token, topic, payload, expiration string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.context(), "POST", w.sim.URL()+"/3/device/"+token, strings.NewReader(payload))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("apns-topic", topic)
	r.Header.Set("authorization", w.bearer)
	if expiration != "" {
		r.Header.Set("apns-expiration", expiration)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func bearer(t *testing.T) string {
	t.Helper()
	key, err := jwt.ParseECPrivateKeyFromPEM(pki().TokenKey)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "DEMOTEAM01", "iat": time.Now().Unix()})
	token.Header["kid"] = "DEVELOPER1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "bearer " + text
}

func (w *world) next(p *courier.Phone) *courier.Notification {
	w.t.Helper()
	n, err := p.Next(w.context())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) expect(status int, token, topic, payload, expiration string) {
	w.t.Helper()
	if got := w.push(token, topic, payload, expiration); got != status {
		w.t.Errorf("push %s to %.8s…: got %d, want %d", payload, token, got, status)
	}
}

// The life of an app on a device, as its provider sees it.
func TestLifeOfAnApp(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connect("anna's phone")
	first := w.register(p, demo)
	if again := w.register(p, demo); again != first {
		t.Errorf("an update of the app changed its token from %s to %s", first, again)
	}
	other := w.register(p, courier.App{Bundle: "com.example.other", Environment: "production"})
	elsewhere := w.register(w.connect("ben's phone"), demo)
	if first == other || first == elsewhere || other == elsewhere {
		t.Errorf("two registrations share a token: %s, %s, %s", first, other, elsewhere)
	}
	w.expect(200, first, bundle, `{"aps":{"alert":"one"}}`, "")
	if n := w.next(p); string(n.Payload) != `{"aps":{"alert":"one"}}` || n.App != demo || n.Token != first || n.Kept {
		t.Errorf("got %+v", n)
	}
	w.expect(400, first, "com.example.other", "{}", "") // DeviceTokenNotForTopic

	if err := p.Uninstall(w.context(), demo); err != nil {
		t.Fatal(err)
	}
	second := w.register(p, demo) // waits until the courier has taken the uninstall
	if second == first {
		t.Error("an app that was installed again has its old token")
	}
	w.expect(410, first, bundle, "{}", "")
	w.expect(200, second, bundle, "{}", "")
	w.next(p)
	p.Close()

	restored := w.connect("anna's phone", demo)
	if token := w.register(restored, demo); token != second {
		t.Error("a backup restored on the same device changed the app's token")
	}
	w.expect(410, other, "com.example.other", "{}", "") // not in the backup
	if err := restored.Erase(w.context()); err != nil {
		t.Fatal(err)
	}
	third := w.register(restored, demo)
	if third == second || third == first {
		t.Error("an erased device has an old token")
	}
	w.expect(410, second, bundle, "{}", "")
}

// A device that comes back online gets the last notification of each app.
func TestOffline(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	w := newWorld(t, func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	apps := make([]courier.App, 4)
	tokens := make([]string, len(apps))
	p := w.connect("phone")
	for i := range apps {
		apps[i] = courier.App{Bundle: fmt.Sprint("com.example.", i), Environment: "sandbox"}
		tokens[i] = w.register(p, apps[i])
	}
	p.Close()
	soon := fmt.Sprint(now.Add(time.Minute).Unix())
	for _, sent := range []struct {
		app                 int
		payload, expiration string
	}{
		{0, "first", ""}, {1, "minute", soon}, {0, "second", ""}, {2, "at once or never", "0"}, {3, "day", fmt.Sprint(now.Add(24 * time.Hour).Unix())}, {0, "third", ""},
	} {
		w.expect(200, tokens[sent.app], apps[sent.app].Bundle, sent.payload, sent.expiration)
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	w.connect("phone", apps...).Close() // without having taken any of it
	p = w.connect("phone", apps...)
	for _, want := range []string{"day", "third"} {
		if n := w.next(p); string(n.Payload) != want || !n.Kept {
			t.Errorf("got %+v, want %s", n, want)
		}
	}
	w.register(p, apps[0]) // after that the courier knows what was acknowledged
	p.Close()
	p = w.connect("phone", apps...)
	w.expect(200, tokens[1], apps[1].Bundle, "next", "")
	if n := w.next(p); string(n.Payload) != "next" {
		t.Errorf("got %+v after all was acknowledged", n)
	}
}

// A device that does not read counts as offline, and delays no other device.
func TestDeviceThatDoesNotRead(t *testing.T) {
	w := newWorld(t, nil)
	deaf, other := w.connect("deaf"), w.connect("other")
	to, others := w.register(deaf, demo), w.register(other, demo)
	payload := strings.Repeat("x", 4096)
	for range 2_000 {
		w.expect(200, to, bundle, payload, "")
	}
	w.expect(200, to, bundle, "last", "")
	w.expect(200, others, bundle, "hello", "")
	if n := w.next(other); string(n.Payload) != "hello" {
		t.Errorf("got %+v", n)
	}
	back := w.connect("deaf", demo)
	for {
		if n := w.next(back); string(n.Payload) == "last" {
			return
		}
	}
}

// A message that no device sends ends the connection, with an error in one sentence.
func TestNotADevice(t *testing.T) {
	w := newWorld(t, nil)
	hello := `{"hello":{"device":"x","installed":[]}}`
	for name, test := range map[string]struct {
		messages []string
		trouble  string
	}{
		"no hello":           {[]string{`{"erase":true}`}, "the first message names the device"},
		"no JSON":            {[]string{`hello`}, "the first message names the device"},
		"no name":            {[]string{`{"hello":{"device":""}}`}, "a device's name has 1 to 255 bytes, not 0"},
		"long name":          {[]string{`{"hello":{"device":"` + strings.Repeat("x", 256) + `"}}`}, "not 256"},
		"empty":              {[]string{hello, `{}`}, "a message has one of"},
		"no JSON later":      {[]string{hello, `]`}, "that is not a message in JSON"},
		"too long":           {[]string{hello, strings.Repeat(" ", 17<<10)}, ""},
		"no bundle":          {[]string{hello, `{"register":{"environment":"production"}}`}, "a bundle identifier has"},
		"odd environment":    {[]string{hello, `{"register":{"bundle":"a","environment":"moon"}}`}, "production or sandbox"},
		"unknown uninstalls": {[]string{hello, `{"uninstall":{"bundle":"a"}}`, `{}`}, "a message has one of"},
		"too many apps":      {append([]string{hello}, registrations(17)...), "16 apps are registered"},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: w.tls()}}
			conn, _, err := websocket.Dial(w.context(), "wss://"+w.address, &websocket.DialOptions{HTTPClient: client})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			for _, m := range test.messages {
				if err := conn.Write(w.context(), websocket.MessageText, []byte(m)); err != nil {
					break
				}
			}
			var last []byte
			for {
				_, text, err := conn.Read(w.context())
				if err != nil {
					break
				}
				last = text
			}
			if !strings.Contains(string(last), test.trouble) {
				t.Errorf("got %s, want %q", last, test.trouble)
			}
		})
	}
}

func registrations(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(`{"register":{"bundle":"app%d","environment":"sandbox"}}`, i))
	}
	return all
}

// A phone learns why its connection has ended.
func TestPhoneIsTold(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connect("phone")
	if _, err := p.Register(w.context(), courier.App{Bundle: "a", Environment: "moon"}); err == nil ||
		!strings.Contains(err.Error(), "production or sandbox") {
		t.Errorf("got %v", err)
	}
	if _, err := p.Next(w.context()); err == nil {
		t.Error("a phone without a connection waits for notifications")
	}
	first := w.connect("twice")
	w.register(first, demo)
	second := w.connect("twice", demo)
	if _, err := first.Next(w.context()); err == nil {
		t.Error("a device has two connections")
	}
	w.register(second, demo)
}

func TestBanner(t *testing.T) {
	for payload, want := range map[string]string{
		`{"aps":{"alert":"Hi"}}`: "Hi",
		`{"aps":{"alert":{"title":"T","subtitle":"S","body":"B"},"badge":3,"sound":"default"}}`:           "T: S: B [badge 3] [sound default]",
		`{"aps":{"alert":{"loc-key":"MAIL_FROM","loc-args":["Anna"]},"sound":{"name":"x","critical":1}}}`: "MAIL_FROM Anna [sound x]",
		`{"aps":{"content-available":1},"id":7}`:                                                          "(silent: the app is woken up)",
		`{"aps":{"content-available":1,"badge":0}}`:                                                       "[badge 0]",
		`{"aps":{}}`:           "",
		`{}`:                   "courier: the payload has no aps dictionary",
		`hello`:                "courier: the payload is not JSON with an aps dictionary as Apple describes it",
		`{"aps":{"alert":7}}`:  "courier: aps.alert is neither a text nor a dictionary of texts",
		`{"aps":{"sound":[]}}`: "courier: aps.sound is neither a name nor a dictionary with one",
	} {
		b, err := courier.ParseBanner([]byte(payload))
		got := b.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
}
