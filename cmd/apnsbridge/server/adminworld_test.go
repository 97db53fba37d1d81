package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"apnsbridge/cmd/apnsbridge/metrics"
)

// askAs sends a request to the admin port over a new connection, with TLS if config is
// not nil.
func (w *world) askAs(t *testing.T, config *tls.Config, method, path string, header http.Header) (status int,
	body string, err error) {
	t.Helper()
	scheme := "http://"
	if config != nil {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(t.Context(), method, scheme+w.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), nil
}

func (w *world) adminStats() metrics.Admin { return w.service.admin.stats() }

// serveAdmin restarts the gateway with other settings of its admin port.
func (w *world) serveAdmin(t *testing.T, settings string) {
	t.Helper()
	w.Reconfigure(`admin: {listen: "127.0.0.1:0"}`, "admin: "+settings)
	w.Start()
	_, port, err := net.SplitHostPort(w.Admin)
	if err != nil {
		t.Fatal(err)
	}
	w.Admin = net.JoinHostPort("127.0.0.1", port)
}
