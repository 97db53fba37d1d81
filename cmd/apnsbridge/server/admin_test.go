package server

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

const adminToken = "0123456789abcdef-the-admin-token"

// If there is a token every request needs it, even on loopback, except those that say only
// whether the gateway is there and ready.
func TestAdminToken(t *testing.T) {
	t.Setenv("ADMIN_TOKEN", adminToken)
	for _, settings := range []string{
		`{listen: "127.0.0.1:0", token: "${ADMIN_TOKEN}"}`,
		`{listen: "0.0.0.0:0", token_file: token}`,
	} {
		w := newWorld(t, apnssim.Scenario{})
		w.Write("token", []byte(adminToken+"\n"))
		w.serveAdmin(t, settings)
		refused := uint64(0)
		for _, tt := range []struct {
			name, authorization string
			admitted            bool
		}{
			{"none", "", false},
			{"wrong", "Bearer 0123456789abcdef-not-the-token--", false},
			{"its beginning", "Bearer " + adminToken[:20], false},
			{"more", "Bearer " + adminToken + "x", false},
			{"empty", "Bearer ", false},
			{"no scheme", adminToken, false},
			{"another scheme", "Basic " + adminToken, false},
			{"right", "Bearer " + adminToken, true},
			{"a small letter", "bearer " + adminToken, true},
			{"a password", "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+adminToken)), true},
			{"a wrong password", "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:x"+adminToken)), false},
			{"a user's name", "Basic " + base64.StdEncoding.EncodeToString([]byte(adminToken+":")), false},
		} {
			for _, request := range []struct{ method, path string }{
				{http.MethodGet, "/"},
				{http.MethodGet, "/metrics"},
				{http.MethodPost, "/feedback/again?app=demo"},
			} {
				header := http.Header{"X-Apnsbridge": {"yes"}}
				if tt.authorization != "" {
					header.Set("Authorization", tt.authorization)
				}
				want := http.StatusOK
				if !tt.admitted {
					want = http.StatusUnauthorized
					refused++
				}
				status, body, err := w.askAs(t, nil, request.method, request.path, header)
				if err != nil || status != want || !tt.admitted && !strings.Contains(body, "Authorization: Bearer") {
					t.Errorf("%s, %s %s with a token that is %s: got %d, %q and error %v, want %d",
						settings, request.method, request.path, tt.name, status, body, err, want)
				}
			}
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, body, err := w.askAs(t, nil, http.MethodGet, path, nil); err != nil || status != http.StatusOK || body != "ok\n" {
				t.Errorf("%s, %s: got %d, %q and error %v", settings, path, status, body, err)
			}
		}
		if status, _, err := w.askAs(t, nil, http.MethodPost, "/feedback/again?app=demo", http.Header{"Authorization": {"Bearer " + adminToken}}); err != nil || status != http.StatusForbidden {
			t.Errorf("%s, a POST of another web page: got %d and error %v, want 403", settings, status, err)
		}
		if got := w.adminStats(); got.Unauthorized != refused || got.Forbidden != 1 {
			t.Errorf("%s: got %+v, want %d without the token and 1 forbidden", settings, got, refused)
		}
		if log := w.Log.String(); strings.Count(log, "refuses a stranger") != 1 || strings.Contains(log, adminToken[:20]) {
			t.Errorf("%s: the log does not have exactly one line about it, or shows the token:\n%s", settings, log)
		}
	}
}

// A new token is needed as soon as it has been read.
func TestAdminTokenReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	ask := func(token string, want int) {
		t.Helper()
		if status, _, err := w.askAs(t, nil, http.MethodGet, "/metrics", http.Header{"Authorization": {"Bearer " + token}}); err != nil || status != want {
			t.Errorf("got %d and error %v, want %d", status, err, want)
		}
	}
	ask("", http.StatusOK)
	w.Amend(`admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: `+adminToken+`}`)
	w.reload()
	ask("", http.StatusUnauthorized)
	ask(adminToken, http.StatusOK)
	w.Amend("token: "+adminToken, "token: "+adminToken+"-renewed")
	w.reload()
	ask(adminToken, http.StatusUnauthorized)
	ask(adminToken+"-renewed", http.StatusOK)
}

// With client_ca the handshake fails without a certificate of that CA; with a token as well,
// both are needed.
func TestAdminCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	operators := servertest.PKI().CA
	w.Write("operators.pem", operators.CertPEM)
	w.serveAdmin(t, `{listen: "0.0.0.0:0", certificate: server.pem, key: server-key.pem, client_ca: operators.pem}`)
	with := func(p *devpki.PKI, o devpki.ClientOptions) *tls.Config {
		config := &tls.Config{RootCAs: servertest.PKI().Pool()}
		if p != nil {
			certificate := servertest.Issue(t, p, o)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
		}
		return config
	}
	operator := with(servertest.PKI(), devpki.ClientOptions{CommonName: "operator"})
	past := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name    string
		config  *tls.Config
		refused bool
	}{
		{"an operator", operator, false},
		{"nobody", with(nil, devpki.ClientOptions{}), true},
		{"a stranger", with(servertest.Strangers(), devpki.ClientOptions{CommonName: "operator"}), true},
		{"an operator of the past", with(servertest.PKI(), devpki.ClientOptions{CommonName: "operator", NotBefore: past.Add(-time.Hour), NotAfter: past}), true},
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			status, _, err := w.askAs(t, tt.config, http.MethodGet, path, nil)
			if refused := err != nil; refused != tt.refused || !refused && status != http.StatusOK {
				t.Errorf("%s, asking for %s: got %d and error %v", tt.name, path, status, err)
			}
		}
	}
	if status, _, err := w.askAs(t, nil, http.MethodGet, "/healthz", nil); err == nil && status != http.StatusBadRequest {
		t.Errorf("without TLS: got %d", status)
	}
	if status, _, err := w.askAs(t, operator, http.MethodPost, "/feedback/again?app=demo", nil); err != nil || status != http.StatusForbidden {
		t.Errorf("a POST of a web page by an operator's browser: got %d and error %v, want 403", status, err)
	}
	if status, body, err := w.askAs(t, operator, http.MethodPost, "/feedback/again?app=demo", http.Header{"X-Apnsbridge": {"yes"}}); err != nil || status != http.StatusOK {
		t.Errorf("an operator's POST: got %d, %q and error %v", status, body, err)
	}
	if got := w.adminStats(); got.HandshakesFailed < 9 {
		t.Errorf("got %+v, want at least 9 failed handshakes", got)
	}

	// The certificate is renewed like that for providers.
	both := &tls.Config{RootCAs: servertest.Strangers().Pool(), GetClientCertificate: operator.GetClientCertificate}
	if _, _, err := w.askAs(t, both, http.MethodGet, "/healthz", nil); err == nil {
		t.Fatal("the new certificate is in use before it was put in place")
	}
	w.Write("server.pem", servertest.Strangers().Server.CertPEM)
	w.Write("server-key.pem", servertest.Strangers().Server.KeyPEM)
	w.service.renewCertificates()
	if status, _, err := w.askAs(t, both, http.MethodGet, "/healthz", nil); err != nil || status != http.StatusOK {
		t.Errorf("with the renewed certificate: got %d and error %v", status, err)
	}

	// From now on operators have certificates of another CA, and also need a token.
	w.Write("operators.pem", servertest.Strangers().CA.CertPEM)
	w.Amend("client_ca: operators.pem", "client_ca: operators.pem, token: "+adminToken)
	w.reload()
	if _, _, err := w.askAs(t, both, http.MethodGet, "/readyz", nil); err == nil {
		t.Error("an operator with a certificate of the old CA is let in")
	}
	theirs := with(servertest.Strangers(), devpki.ClientOptions{CommonName: "operator"})
	theirs.RootCAs = both.RootCAs
	for authorization, want := range map[string]int{"": http.StatusUnauthorized, "Bearer " + adminToken: http.StatusOK} {
		if status, _, err := w.askAs(t, theirs, http.MethodGet, "/metrics", http.Header{"Authorization": {authorization}}); err != nil || status != want {
			t.Errorf("authorization %q: got %d and error %v, want %d", authorization, status, err, want)
		}
	}
}

// On a port without a token, a web page whose name has been pointed to it cannot even
// read.
func TestAdminNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	for host, want := range map[string]int{
		w.Admin: http.StatusOK, "localhost:9195": http.StatusOK, "[::1]": http.StatusOK, "::1": http.StatusOK,
		"rebound.example.com:9195": http.StatusForbidden, "127.0.0.1.example.com": http.StatusForbidden, "localhost.example.com": http.StatusForbidden,
	} {
		for _, path := range []string{"/readyz", "/metrics"} {
			if status, body := w.Ask(t, http.MethodGet, path, func(r *http.Request) { r.Host = host }); status != want {
				t.Errorf("%s of %s: got %d and %.100q, want %d", path, host, status, body, want)
			}
		}
	}
}

// The port has a bound on its connections, including those that send nothing.
func TestAdminBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("apps:", "limits: {admin_connections: 2}\napps:")
	w.Start()
	var silent []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", w.Admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	servertest.WaitFor(t, "both are counted", func() bool { return w.adminStats().Connections == 2 })
	third, err := net.Dial("tcp", w.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	third.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := bufio.NewReader(third).ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the third connection: got error %v, want its end", err)
	}
	silent[0].Close()
	servertest.WaitFor(t, "there is room", func() bool { return w.adminStats().Connections == 1 })
	if status, _, err := w.askAs(t, nil, http.MethodGet, "/healthz", nil); err != nil || status != http.StatusOK {
		t.Errorf("when there is room: got %d and error %v", status, err)
	}
	servertest.WaitFor(t, "it is gone", func() bool { return w.adminStats().Connections == 1 })
	if got := w.adminStats(); got.OverLimit != 1 {
		t.Errorf("got %+v, want one over the limit", got)
	}
}

// check reports what is wrong with the port's guards.
func TestAdminCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	settings, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.Write("token", []byte(adminToken+"\n"))
	w.Write("short", []byte("secret\n"))
	w.Write("two-lines", []byte(adminToken+"\nand more\n"))
	w.Write("stranger.pem", servertest.Strangers().Server.CertPEM)
	readable := w.Write("readable", []byte(adminToken+"\n"))
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		admin   string
		want    string
		warning bool
	}{
		{`{listen: "127.0.0.1:0", token_file: token}`, "no problems", true},
		{`{listen: "0.0.0.0:0", token_file: token, certificate: server.pem, key: server-key.pem}`, "no problems", true},
		{`{listen: "127.0.0.1:0", token: secret}`, "admin.token: the token has 6 bytes, and needs 16: make one with openssl rand -hex 32", false},
		{`{listen: "127.0.0.1:0", token_file: short}`, "admin.token_file " + w.Path("short") + ": the token has 6 bytes", false},
		{`{listen: "127.0.0.1:0", token_file: two-lines}`, "admin.token_file " + w.Path("two-lines") + ": the token has bytes that no header can carry", false},
		{`{listen: "127.0.0.1:0", token_file: gone}`, "admin.token_file: open " + w.Path("gone"), false},
		{`{listen: "127.0.0.1:0", certificate: stranger.pem, key: server-key.pem}`, "admin.certificate " + w.Path("stranger.pem") + " with admin.key " + w.Path("server-key.pem") + ": the key is not the certificate's", false},
		{`{listen: "127.0.0.1:0", certificate: server.pem, key: server-key.pem, client_ca: token}`, "admin.client_ca: " + w.Path("token") + " has no certificate", false},
		{`{listen: "127.0.0.1:0", token_file: readable}`, "warning: admin.token_file: others than its owner may read " + readable + " (mode 0644): chmod 600 " + readable, true},
		{`{listen: "0.0.0.0:0", token_file: token}`, "warning: the token of the admin port 0.0.0.0:0 goes over the network in the clear: add admin.certificate and key", true},
	} {
		w.Write("apnsbridge.yaml", []byte(strings.Replace(string(settings), `admin: {listen: "127.0.0.1:0"}`,
			"admin: "+tt.admin, 1)))
		code, stdout, stderr := w.check(CheckOptions{})
		wantCode := servertest.Failed
		said := stderr
		if tt.warning {
			wantCode, said = servertest.OK, stdout
		}
		unexpected := tt.want == "no problems" && strings.Contains(said, "warning: admin")
		if code != wantCode || !strings.Contains(said, tt.want) || unexpected {
			t.Errorf("%s: got exit code %d\n%s%s\nwant %d and %q", tt.admin, code, stdout, stderr, wantCode, tt.want)
		}
		if strings.Contains(stdout+stderr, "0123456789abcdef") || strings.Contains(stdout+stderr, "secret") &&
			!strings.Contains(tt.admin, "secret") {
			t.Errorf("%s: the token is shown:\n%s%s", tt.admin, stdout, stderr)
		}
	}
}
