package apnssim_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	apnstoken "github.com/sideshow/apns2/token"

	"apnsbridge/bridge/apnssim"
)

// Clients for APNs by others work with the simulator as they do with APNs.
func TestAPNs2(t *testing.T) {
	sim, err := apnssim.Start(apnssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	client := apns2.NewTokenClient(&apnstoken.Token{AuthKey: key, KeyID: "KEY", TeamID: "TEAM"})
	client.Host, client.HTTPClient = sim.URL(), sim.Client()
	for prefix, want := range map[string]string{"1": "200 ", "bad0": "400 BadDeviceToken", "dead": "410 Unregistered"} {
		answer, err := client.Push(&apns2.Notification{
			DeviceToken: prefix + strings.Repeat("0", 64-len(prefix)), Topic: "com.example.demo", Payload: []byte(`{"aps":{"alert":"Hello"}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s", answer.StatusCode, answer.Reason); got != want {
			t.Errorf("%s: got %s, want %s", prefix, got, want)
		}
	}
	if st := sim.Stats(); st.Received != 3 || st.Connections != 1 || st.Violations != 0 {
		t.Errorf("got %+v", st)
	}
}

func TestH2load(t *testing.T) {
	program, err := exec.LookPath("h2load")
	if err != nil {
		t.Skip("there is no h2load here: it is in Debian's nghttp2-client")
	}
	sim, err := apnssim.Start(apnssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	payload := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(payload, []byte(`{"aps":{"alert":"Hello"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-n", "5000", "-c", "2", "-m", "100", "-d", payload,
		"-H", "apns-topic: com.example.demo", "-H", "authorization: bearer "+bearer(t),
		sim.URL()+"/3/device/"+strings.Repeat("1", 64)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "status codes: 5000 2xx") {
		t.Errorf("%v: %s", err, out)
	}
	if st := sim.Stats(); st.Accepted != 5000 || st.Connections != 2 {
		t.Errorf("got %+v", st)
	}
}

func bearer(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return (&apnstoken.Token{AuthKey: key, KeyID: "KEY", TeamID: "TEAM"}).GenerateIfExpired()
}

// @parse/node-apn is what most Node programs of today send with.
func TestNodeAPN(t *testing.T) {
	t.Parallel() // most of it is waiting for npm
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here", program)
		}
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir,
		"@parse/node-apn@6.5.0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install @parse/node-apn: %v: %s", err, out)
	}
	sim, err := apnssim.Start(apnssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(sim.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`
const apn = require("@parse/node-apn");
const provider = new apn.Provider({
  token: {key: %q, keyId: "KEY1234567", teamId: "TEAM123456"},
  address: %q, port: %s, rejectUnauthorized: false,
});
const note = new apn.Notification({topic: "com.example.demo", alert: "Hello", badge: 3});
provider.send(note, ["1".repeat(64), "bad0" + "0".repeat(60), "dead" + "0".repeat(60)]).then((result) => {
  console.log(result.sent.length, result.failed.map((f) => f.status + " " + (f.response && f.response.reason)).sort().join(", "));
  provider.shutdown();
});`, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), host, port)
	path := filepath.Join(dir, "send.js")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", path).CombinedOutput()
	if want := "1 400 BadDeviceToken, 410 Unregistered\n"; err != nil || string(out) != want {
		t.Errorf("%v: got %q, want %q", err, out, want)
	}
}
