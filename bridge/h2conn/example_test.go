package h2conn_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"apnsbridge/bridge/h2conn"
)

// Three requests are submitted at once when the connection has room, and handed back as
// they end, in whatever order the server answers.
func ExampleConn_Submit() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("apns-id", "of "+r.URL.Path)
		if r.URL.Path == "/3/device/dead" {
			w.WriteHeader(http.StatusGone)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	prefix, err := h2conn.NewPrefix("POST", "https", "api.push.apple.com",
		h2conn.Field{Name: "apns-topic", Value: []byte("com.example.mail")})
	if err != nil {
		panic(err)
	}
	var waiting []*h2conn.Request // used by the callbacks only, which never run at the same time
	for _, token := range []string{"0a0a", "dead", "0b0b"} {
		waiting = append(waiting, &h2conn.Request{Prefix: prefix, Path: []byte("/3/device/" + token),
			Body: []byte(`{"aps":{}}`)})
	}
	ended := make(chan string, len(waiting))
	conn, err := h2conn.Dial(context.Background(), server.Listener.Addr().String(), h2conn.Config{
		TLS:  &tls.Config{RootCAs: roots, ServerName: "example.com"},
		Want: []string{"apns-id"},
		Room: func(c *h2conn.Conn) {
			n, _ := c.Submit(waiting) // what it does not take waits for the next call
			waiting = waiting[n:]
		},
		Complete: func(_ *h2conn.Conn, done []*h2conn.Request) {
			for _, r := range done {
				if r.Fate != h2conn.Answered {
					ended <- fmt.Sprintf("%s is %s: %v", r.Path, r.Fate, r.Err)
					continue
				}
				ended <- fmt.Sprintf("%d %s", r.Response.Status, r.Response.Values[0])
			}
		},
	})
	if err != nil {
		panic(err)
	}
	for range 3 {
		fmt.Println(<-ended)
	}
	conn.Drain()
	<-conn.Done()
	// Unordered output:
	// 200 of /3/device/0a0a
	// 410 of /3/device/dead
	// 200 of /3/device/0b0b
}
