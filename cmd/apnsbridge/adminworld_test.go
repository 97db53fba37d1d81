package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/metrics"
)

// askAs sends a request to the admin port over a connection of its own, in TLS
// if config is not nil.
func (w *world) askAs(t *testing.T, config *tls.Config, method, path string, header http.Header) (status int, body string, err error) {
	t.Helper()
	scheme := "http://"
	if config != nil {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(t.Context(), method, scheme+w.admin+path, nil)
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

// metrics are all figures, as Prometheus reads them.
func (w *world) metrics() string {
	w.t.Helper()
	status, body := w.ask(w.t, http.MethodGet, "/metrics", nil)
	if status != http.StatusOK {
		w.t.Fatalf("/metrics: got %d and %s", status, body)
	}
	return body
}

// metric is one of them, with its labels in name.
func (w *world) metric(t *testing.T, name string) (value float64) {
	t.Helper()
	_, after, ok := strings.Cut(w.metrics(), "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); !ok || err != nil {
		t.Fatalf("there is no %s", name)
	}
	return value
}

func (w *world) adminStats() metrics.Admin { return w.service.admin.stats() }

// serveAdmin starts the gateway again, with other settings of its admin port.
func (w *world) serveAdmin(t *testing.T, settings string) {
	t.Helper()
	w.reconfigure(`admin: {listen: "127.0.0.1:0"}`, "admin: "+settings)
	w.start()
	_, port, err := net.SplitHostPort(w.admin)
	if err != nil {
		t.Fatal(err)
	}
	w.admin = net.JoinHostPort("127.0.0.1", port)
}
