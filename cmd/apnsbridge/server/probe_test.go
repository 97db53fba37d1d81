package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// raw sends a request as given, and returns the first line and the body of the answer.
func (w *world) raw(t *testing.T, request string) (line, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", w.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ = strings.Cut(string(answer), "\r\n")
	_, body, _ = strings.Cut(string(answer), "\r\n\r\n")
	return line, body
}

// The default probes of haproxy, nginx and others are answered with one word, and get to know
// nothing more.
func TestProbes(t *testing.T) {
	t.Parallel()
	for _, guard := range []string{"", `, token: "` + adminToken + `"`} {
		w := newWorld(t, apnssim.Scenario{})
		w.serveAdmin(t, `{listen: "127.0.0.1:0"`+guard+`}`)
		for _, request := range []string{
			"GET /readyz HTTP/1.0\r\n\r\n", "OPTIONS /readyz HTTP/1.0\r\n\r\n", "HEAD /healthz HTTP/1.0\r\n\r\n",
			"GET /healthz HTTP/1.0\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
		} {
			line, body := w.raw(t, request)
			if !strings.HasSuffix(line, " 200 OK") || body != "ok\n" && !strings.HasPrefix(request, "HEAD") {
				t.Errorf("admin%s, %q: got %q and %q", guard, request, line, body)
			}
		}
		if line, body := w.raw(t, "GET / HTTP/1.0\r\n\r\n"); !strings.Contains(line, " 40") ||
			strings.Contains(body, "demo") {
			t.Errorf("admin%s, the page without a Host header: got %q and %q", guard, line, body)
		}
		w.service.admin.stopping.Store(true)
		if line, body := w.raw(t, "GET /readyz HTTP/1.0\r\n\r\n"); !strings.HasSuffix(line, " 503 Service Unavailable") ||
			body != "unready\n" {
			t.Errorf("admin%s, while it stops: got %q and %q", guard, line, body)
		}
		w.service.admin.stopping.Store(false)
	}
}

// Slow clients that take all places, by saying nothing, by half a request or by not reading,
// do not keep a probe from its answer.
func TestSlowClientsAndProbes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("apps:", "limits: {admin_connections: 4}\napps:")
	w.Start()
	for i := range 4 + 2*quickPlaces {
		conn, err := net.Dial("tcp", w.Admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, []string{"", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "}[i%2])
	}
	servertest.WaitFor(t, "all places are taken", func() bool { return w.adminStats().OverLimit == 2*quickPlaces })
	for range 10 {
		if line, body := w.raw(t, "GET /healthz HTTP/1.0\r\n\r\n"); !strings.HasSuffix(line, " 200 OK") || body != "ok\n" {
			t.Errorf("got %q and %q", line, body)
		}
	}
	if got := w.adminStats(); got.Connections != 4 {
		t.Errorf("got %+v, want 4 connections", got)
	}
	if status, _ := w.Ask(t, http.MethodGet, "/metrics", nil); status != http.StatusOK {
		t.Errorf("/metrics: got %d", status)
	}
}
